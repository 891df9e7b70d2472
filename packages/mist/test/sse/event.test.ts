import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeComment, encodeEvent, encodeRetry, event } from "../../src/sse/event.ts";

interface Dispatched {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/** The client's half, after WHATWG HTML §9.2.6, written independently of src/. */
function parseStream(text: string): { events: Dispatched[]; retry: number | undefined } {
  const events: Dispatched[] = [];
  let retry: number | undefined;
  let [data, type, lastEventId] = ["", "", ""];
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    if (line === "") {
      if (data !== "") events.push({ type: type || "message", data: data.slice(0, -1), lastEventId });
      [data, type] = ["", ""];
      continue;
    }
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    else if (field === "data") data += `${value}\n`;
    else if (field === "id" && !value.includes("\0")) lastEventId = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) retry = Number(value);
  }
  return { events, retry };
}

describe("encodes", () => {
  test.each([
    [event("hello"), "data: hello\n\n"],
    [event(""), "data: \n\n"],
    [event(" led by a space"), "data:  led by a space\n\n"],
    [event("a\nb"), "data: a\ndata: b\n\n"],
    [event("a\rb\r\nc\n\nd\n"), "data: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n"],
    [event("x").eventId("7"), "id: 7\ndata: x\n\n"],
    [event("x").eventId(""), "id: \ndata: x\n\n"],
    [event("x").eventName("tick"), "event: tick\ndata: x\n\n"],
    [event("x").eventRetry(1500), "retry: 1500\ndata: x\n\n"],
    [event("x").eventRetry(0).eventName("n").eventId("i"), "id: i\nevent: n\nretry: 0\ndata: x\n\n"],
  ])("%o", (given, text) => {
    expect(encodeEvent(given)).toBe(text);
  });

  test("comments, in any number of lines", () => {
    expect(encodeComment("")).toBe(": \n\n");
    expect(encodeComment("a\r\nb")).toBe(": a\n: b\n\n");
    expect(parseStream(encodeComment("data: x\n\ndata: y")).events).toEqual([]);
  });

  test("a reconnection time alone", () => {
    expect(parseStream(encodeRetry(250))).toEqual({ events: [], retry: 250 });
  });
});

describe("refuses", () => {
  test.each(["a\nb", "a\rb", "a\0b", "\n"])("the id %j", (id) => {
    expect(() => event("").eventId(id)).toThrow(expect.objectContaining({ name: "UsageError" }));
  });

  test.each(["a\nb", "a\r", "\n"])("the name %j", (name) => {
    expect(() => event("").eventName(name)).toThrow(expect.objectContaining({ name: "UsageError" }));
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])("the reconnection time %d", (ms) => {
    expect(() => event("").eventRetry(ms)).toThrow(expect.objectContaining({ name: "UsageError" }));
  });

  test("data that is no text", () => {
    expect(() => event(7 as never)).toThrow(expect.objectContaining({ name: "UsageError" }));
  });
});

test("setters leave the event they are called on as it is", () => {
  const plain = event("x");
  plain.eventId("1").eventName("n").eventRetry(5);
  expect(encodeEvent(plain)).toBe("data: x\n\n");
});

test("a client gets what was sent, whatever it is, and no event more", () => {
  const text = fc.string({ unit: "binary" }).map((s) => Buffer.from(s).toString());
  const line = text.map((s) => s.replace(/[\r\n\0]/g, ""));
  fc.assert(
    fc.property(fc.array(fc.tuple(text, line, line)), (events) => {
      const stream = events
        .map(([data, id, name]) => encodeEvent(event(data).eventId(id).eventName(name)))
        .join("");
      const wanted = events.map(([data, lastEventId, name]) => ({
        type: name || "message",
        data: data.replace(/\r\n|\r/g, "\n"),
        lastEventId,
      }));
      expect(parseStream(stream).events).toEqual(wanted);
    }),
  );
});
