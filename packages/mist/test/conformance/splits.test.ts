// However a conversation is cut into packets, its answers are the same bytes, and the handler has seen the same
// requests, which are those that were sent.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { feed, pump } from "./fake-connection.ts";
import { judge } from "./reference.ts";

const token = fc.constantFrom("x-a", "Accept", "x-b", "User-Agent", "cookie");
const value = fc.constantFrom("", "1", "a b", "\t spaced \t", "é", '"quoted, comma"', "a:b", "x".repeat(200));
const fieldLines = fc
  .array(fc.tuple(token, value), { maxLength: 4 })
  .map((fields) => fields.map(([name, text]) => `${name}: ${text}\r\n`).join(""));
const content = fc.string({ unit: "binary-ascii", maxLength: 40 });

const extension = fc.constantFrom("", ";a", ";a=b", ' ; a="\\"; b"', ";a=1;b=2");
const chunk = fc
  .tuple(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 20 }), extension)
  .map(([data, ext]) => `${data.length.toString(16)}${ext}\r\n${data}\r\n`);
const trailers = fc.constantFrom("", "x-sum: 1\r\n", "content-length: 4\r\nx-t: 2\r\n");

const bodies = fc.oneof(
  fc.constant("\r\n"),
  content.map((data) => `content-length: ${data.length}\r\n\r\n${data}`),
  fc
    .tuple(fc.array(chunk, { maxLength: 4 }), trailers)
    .map(([chunks, tail]) => `transfer-encoding: chunked\r\n\r\n${chunks.join("")}0\r\n${tail}\r\n`),
);

const request = fc
  .tuple(
    fc.constantFrom("", "", "\r\n"),
    fc.constantFrom("GET", "HEAD", "POST", "PUT", "BREW"),
    fc.constantFrom("/", "/read", "/read?a=b", "/unread", "/late", "/stream", "http://b:81/read"),
    fieldLines,
    bodies,
  )
  .map(
    ([before, method, target, fields, body]) =>
      `${before}${method} ${target} HTTP/1.1\r\nhost: a\r\n${fields}${body}`,
  );

const last = fc.constantFrom(
  "",
  "",
  "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /behind HTTP/1.1\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.1\r\n\r\n",
  "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
  "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
  "POST /read HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\n",
  "POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\ncut",
  "GET / HT",
);

const conversation = fc
  .tuple(fc.array(request, { maxLength: 4 }), last)
  .map(([requests, end]) => requests.join("") + end);

interface Outcome {
  readonly output: string;
  readonly seen: readonly string[];
  readonly failure: unknown;
  readonly closed: boolean;
}

async function outcome(packets: Iterable<Buffer>, slow: () => boolean = () => false): Promise<Outcome> {
  const seen: string[] = [];
  const connection = pump(async (received) => {
    const { path } = received;
    if (path === "/unread") return mist.response(200).setBody(mist.bytes("unread"));
    if (path === "/late") await new Promise((resolve) => setImmediate(resolve));
    if (path === "/stream") {
      return mist.response(200).setBody(mist.chunked(mist.stream(received)));
    }
    const bytes = await mist.readBody(received, { maxBodyLimit: 1 << 20 });
    const body = Buffer.from(bytes).toString("latin1");
    seen.push(`${received.method} ${received.target} ${JSON.stringify(received.headers)} ${body}`);
    return mist.response(200).setBody(mist.bytes(bytes));
  });
  connection.slow = slow;
  await feed(connection, packets);
  const output = connection.output.replace(/^date: .*\r\n/gm, "");
  return { output, seen, failure: connection.failure, closed: connection.closed };
}

// A body that is echoed as it comes has as many chunks as packets: what they carry is compared.
function dechunked(output: string): string {
  return output.replace(/(?<=\r\n\r\n)((?:[0-9a-f]+\r\n[\s\S]*?\r\n)*?)0\r\n\r\n/g, (_, chunks: string) => {
    let data = "";
    for (let at = 0; at < chunks.length; ) {
      const end = chunks.indexOf("\r\n", at);
      const size = Number.parseInt(chunks.slice(at, end), 16);
      data += chunks.slice(end + 2, end + 2 + size);
      at = end + 4 + size;
    }
    return data;
  });
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const cuts = [...new Set(at.map((n) => n % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...cuts, bytes.length].map((end, i) => Buffer.from(bytes.subarray(cuts[i - 1] ?? 0, end)));
}

describe("any split of any sequence of requests", () => {
  it("gives the same answers", async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.array(fc.nat(), { maxLength: 12 }), async (text, cuts) => {
        const bytes = Buffer.from(text, "latin1");
        const whole = await outcome([Buffer.from(bytes)]);
        const split = await outcome(cut(bytes, cuts));
        expect(whole.closed).toBe(true);
        expect(whole.failure).toBeUndefined();
        expect(split.seen).toEqual(whole.seen);
        expect({ ...split, output: dechunked(split.output) }).toEqual({
          ...whole,
          output: dechunked(whole.output),
        });
      }),
      { numRuns: 600, seed: 9112 },
    );
  });

  it("gives them to a peer that is slow to take them, too", async () => {
    const pace = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(conversation, fc.array(fc.nat(), { maxLength: 6 }), pace, async (text, cuts, slow) => {
        const bytes = Buffer.from(text, "latin1");
        const quick = await outcome([Buffer.from(bytes)]);
        let write = 0;
        const tardy = await outcome(cut(bytes, cuts), () => slow[write++ % slow.length] as boolean);
        expect({ ...tardy, output: dechunked(tardy.output) }).toEqual({
          ...quick,
          output: dechunked(quick.output),
        });
      }),
      { numRuns: 400, seed: 9112 },
    );
  });

  it("byte by byte, gives the handler what was sent", async () => {
    await fc.assert(
      fc.asyncProperty(conversation, async (text) => {
        const bytes = Buffer.from(text, "latin1");
        const { output, seen } = await outcome(Array.from(bytes, (byte) => Buffer.from([byte])));
        const { requests, broken } = judge(text);
        const finals = [...output.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
        expect(finals.filter((status) => status === 200).length).toBeGreaterThanOrEqual(requests.length);
        if (broken && !text.includes("/stream")) expect(finals.at(-1)).toBeGreaterThanOrEqual(400);
        const read = requests.filter(({ target }) => !/^\/(unread|stream)/.test(target));
        expect(seen.length).toBe(read.length);
        read.forEach(({ method, target, content: sent }, i) => {
          expect(seen[i]?.startsWith(`${method} ${target} `)).toBe(true);
          expect(seen[i]?.endsWith(` ${sent}`)).toBe(true);
        });
      }),
      { numRuns: 150, seed: 9112 },
    );
  });
});
