// What holds for every input, not only for the ones a table thought of.

import fc from "fast-check";
import { expect, test } from "vitest";
import { ProtocolError } from "../../src/errors.ts";
import { Http1Connection } from "../../src/http1/connection.ts";
import type { Framing } from "../../src/http1/framing.ts";
import { defaultHttp1Limits } from "../../src/http1/limits.ts";
import { answerEmpty } from "./conversation.ts";
import { bytes, transcript } from "./transcript.ts";

const SEED = { seed: 1997, endOnFailure: true };

const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
const value = fc.stringMatching(/^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?$/);
const own = ["host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"];
const field = fc.tuple(
  token.filter((name) => !own.includes(name.toLowerCase())),
  value,
);
const target = fc.stringMatching(
  /^\/(?:[A-Za-z0-9\-._~:/[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2}){0,20}(?:\?[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]{0,15})?$/,
);
const ows = fc.constantFrom("", " ", "\t", " \t ");

interface Message {
  text: string;
  method: string;
  target: string;
  fields: [string, string][];
  body: string;
}

const body = fc.oneof(
  fc.constant({ lines: "", coded: "", plain: "" }),
  fc
    .string({ maxLength: 50 })
    .map(latin)
    .map((plain) => ({ lines: `Content-Length: ${plain.length}\r\n`, coded: plain, plain })),
  fc
    .array(
      fc.tuple(
        fc.string({ minLength: 1, maxLength: 30 }).map(latin),
        fc.constantFrom("", ";a", ';a="b\\"c"', " ; a = b"),
      ),
      { maxLength: 5 },
    )
    .map((chunks) => ({
      lines: "Transfer-Encoding: chunked\r\n",
      coded: `${chunks.map(([data, extension]) => `${data.length.toString(16)}${extension}\r\n${data}\r\n`).join("")}0\r\nx-t: 1\r\n\r\n`,
      plain: chunks.map(([data]) => data).join(""),
    })),
);

const message: fc.Arbitrary<Message> = fc
  .record({
    method: token.filter((name) => name !== "CONNECT"),
    target,
    fields: fc.array(field, { maxLength: 8 }),
    ows,
    body,
  })
  .map(({ method, target, fields, ows, body }) => ({
    text: `${method} ${target} HTTP/1.1\r\nHost: a\r\n${fields.map(([n, v]) => `${n}:${ows}${v}${ows}\r\n`).join("")}${body.lines}\r\n${body.coded}`,
    method,
    target,
    fields: fields.map(([n, v]) => [n.toLowerCase(), v]),
    body: body.plain,
  }));

function latin(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The text in packets, cut at arbitrary places. */
function packets(text: string, cuts: readonly number[]): string[] {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  return places.slice(1).map((end, i) => text.slice(places[i], end));
}

const cuts = fc.array(fc.nat(), { maxLength: 20 });

test("good requests are read as they were meant, however they are cut", () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), cuts, (messages, cuts) => {
      const { requests, end } = transcript(packets(messages.map(({ text }) => text).join(""), cuts));
      expect(end).toBe("need-data");
      expect(requests.map(({ method, target, body }) => ({ method, target, body }))).toEqual(
        messages.map(({ method, target, body }) => ({ method, target, body })),
      );
      expect(requests.map(({ fields }) => fields.filter(([name]) => !own.includes(name)))).toEqual(
        messages.map(({ fields }) => fields),
      );
    }),
    { ...SEED, numRuns: 400 },
  );
});

const ownLine = fc.constantFrom(
  "Host: a",
  "host: a",
  "Host: b",
  "Host: a ",
  "Host: a:80",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: upgrade",
  "Upgrade: x",
  "Content-Length: 0",
  "Content-Length: 1",
  "Content-Length: 2",
  "Transfer-Encoding: chunked",
  "Expect: 100-continue",
  "Expect: something",
  "Cookie: 1",
  "Cookie: 2",
  "X: y",
);

test("a request is read the same on a connection that has read others before", () => {
  const head = fc
    .tuple(fc.constantFrom("1.1", "1.1", "1.1", "1.0"), fc.array(ownLine, { maxLength: 4 }))
    .map(
      ([version, lines]) =>
        `POST / HTTP/${version}\r\n${["Host: a", ...lines].slice(lines[0]?.startsWith("Host") ? 1 : 0).join("\r\n")}\r\n\r\n`,
    );
  fc.assert(
    fc.property(fc.array(head, { minLength: 2, maxLength: 6 }), (heads) => {
      const connection = new Http1Connection();
      for (const text of heads) {
        const before = firstEvent(connection, text);
        expect(before).toEqual(firstEvent(new Http1Connection(), text));
        if (typeof before !== "string" || !finish(connection, JSON.parse(before).framing)) break;
      }
    }),
    { ...SEED, numRuns: 1500 },
  );
});

/** The head, as text, or the status of the fault. */
function firstEvent(connection: Http1Connection, text: string): string | number {
  connection.receive(bytes(text));
  try {
    const head = connection.next();
    if (head.type !== "request") throw new Error(head.type);
    const { fields, host, port, framing, keepAlive, expectContinue, upgrade } = head;
    return JSON.stringify({ fields, host, port, framing, keepAlive, expectContinue, upgrade });
  } catch (error) {
    return (error as ProtocolError).status as number;
  }
}

/** Send whatever body is due and answer; false when the connection is over. */
function finish(connection: Http1Connection, framing: Framing): boolean {
  const length = typeof framing === "object" ? framing.length : 0;
  connection.receive(bytes(framing === "chunked" ? "0\r\n\r\n" : "x".repeat(length)));
  while (!connection.requestComplete) connection.next();
  answerEmpty(connection);
  return connection.persistent;
}

const soup = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: message.map(({ text }) => text) },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          "\r\n",
          "\r",
          "\n",
          " ",
          ":",
          "\0",
          "0\r\n\r\n",
          "GET / HTTP/1.1\r\n",
          "Host: a\r\n",
          "Content-Length: 3\r\n",
        ),
      },
      {
        weight: 1,
        arbitrary: fc.uint8Array({ maxLength: 20 }).map((data) => Buffer.from(data).toString("latin1")),
      },
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(""));

test("any cut gives the same events", () => {
  fc.assert(
    fc.property(soup, cuts, fc.boolean(), (text, cuts, fin) => {
      expect(transcript(packets(text, cuts), { fin })).toEqual(transcript([text], { fin }));
    }),
    { ...SEED, numRuns: 1500 },
  );
});

test("arbitrary bytes give events or a ProtocolError that can be answered, nothing else", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), soup, (noise, text) => {
      const connection = new Http1Connection();
      try {
        for (const packet of [...noise.map((data) => Buffer.from(data)), bytes(text)]) {
          connection.receive(packet);
          progress(connection);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
        expect((error as ProtocolError).status).toBeGreaterThanOrEqual(400);
        expect((error as ProtocolError).section).toMatch(/^RFC \d+ §/);
        expect(connection.next().type).toBe("closed");
      }
    }),
    { ...SEED, numRuns: 1500 },
  );
});

/** Ask until there is nothing to say: every event but those that wait must have consumed something. */
function progress(connection: Http1Connection): void {
  for (;;) {
    const before = connection.retainedBytes;
    const event = connection.next();
    if (event.type === "need-data" || event.type === "closed") return;
    if (event.type === "request" || event.type === "data")
      expect(connection.retainedBytes).toBeLessThan(before);
    if (event.type === "end" || (event.type === "request" && event.framing === "none"))
      answerEmpty(connection);
  }
}

test("what is retained between packets stays within the limits", () => {
  const limits = { maxHead: 200, maxTarget: 100, maxTrailer: 100, maxTrailerFields: 5, maxFields: 10 };
  fc.assert(
    fc.property(soup, cuts, (text, cuts) => {
      const most = Math.max(limits.maxHead, limits.maxTrailer);
      transcript(packets(text.repeat(3), cuts), {
        limits: { ...defaultHttp1Limits, ...limits },
        onPacket: (connection) => expect(connection.retainedBytes).toBeLessThan(most),
      });
    }),
    { ...SEED, numRuns: 500 },
  );
});
