import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader, type ReaderEvent } from "../../src/websocket/reader.ts";
import { binary, more, ping, text } from "./client-frames.ts";

const limits = { maxMessageBytes: 1 << 20, maxFrames: 1000 };
const canFree = "transfer" in ArrayBuffer.prototype;

/** A packet as a socket reads it: in memory of its own. */
function packet(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

function events(connection: FrameReader, bytes: Buffer): ReaderEvent[] {
  const all: ReaderEvent[] = [];
  connection.receive(bytes);
  for (let event = connection.next(); event.type !== "need-data"; event = connection.next()) all.push(event);
  return all;
}

function freed(bytes: Buffer): boolean {
  return bytes.buffer.byteLength === 0;
}

describe.runIf(canFree)("the memory of a packet", () => {
  const payload = Buffer.alloc(70_000, "abcd");
  const frames = { binary: binary(payload), text: text(payload) };

  it.each(["binary", "text"] as const)(
    "is given back when a piece of a %s message was copied from it",
    (kind) => {
      const connection = new FrameReader(limits, false);
      const first = packet(frames[kind].subarray(0, 65_536));
      expect(events(connection, first)).toEqual([]);
      expect(freed(first)).toBe(true);
      const [message] = events(connection, packet(frames[kind].subarray(65_536)));
      const expected = kind === "text" ? payload.toString() : payload;
      expect(message).toEqual({ type: kind, data: expected });
    },
  );

  it("is given back behind a text", () => {
    const bytes = packet(frames.text);
    expect(events(new FrameReader(limits, false), bytes)).toHaveLength(1);
    expect(freed(bytes)).toBe(true);
  });

  it.each([
    ["a binary message", binary("a"), false],
    ["a ping", ping("a"), true],
    ["nothing that was given out", Buffer.alloc(0), true],
  ])("with %s in it", (_, frame, expected) => {
    const bytes = packet(Buffer.concat([frame, binary(Buffer.alloc(5000), { fin: false })]));
    events(new FrameReader(limits, false), bytes);
    expect(freed(bytes)).toBe(expected);
  });

  it("is not, where it is a part of something larger", () => {
    const whole = Buffer.allocUnsafeSlow(frames.text.length + 10);
    whole.set(frames.text, 10);
    expect(events(new FrameReader(limits, false), whole.subarray(10))).toHaveLength(1);
    expect(freed(whole)).toBe(false);
  });
});

it("events keep what they said, however the frames were packed and whatever came behind them", () => {
  const frame = fc.oneof(
    fc.uint8Array({ maxLength: 9000 }).map((data) => ({ data, wire: binary(data) })),
    fc.uint8Array({ maxLength: 125 }).map((data) => ({ data, wire: ping(data) })),
    fc.uint8Array({ minLength: 2, maxLength: 9000 }).map((data) => {
      const half = data.length >> 1;
      const wire = [binary(data.subarray(0, half), { fin: false }), more(data.subarray(half))];
      return { data, wire: Buffer.concat(wire) };
    }),
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.integer({ min: 1, max: 20_000 }), (frames, size) => {
      const connection = new FrameReader(limits, false);
      const wire = Buffer.concat(frames.map(({ wire }) => wire));
      const all: ReaderEvent[] = [];
      for (let at = 0; at < wire.length; at += size) {
        all.push(...events(connection, packet(wire.subarray(at, at + size))));
      }
      const given = all.map((event) =>
        "data" in event
          ? Buffer.from(event.data)
          : "payload" in event
            ? Buffer.from(event.payload, "latin1")
            : event,
      );
      expect(given).toEqual(frames.map(({ data }) => Buffer.from(data)));
    }),
  );
});
