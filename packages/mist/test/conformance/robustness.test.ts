// A hundred thousand broken and half-broken conversations. Nothing crashes, nothing hangs, nothing broken is
// answered as if it were good, and nothing is kept.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { statuses } from "../server/serve.ts";
import { type FakeConnection, pump, settled } from "./fake-connection.ts";
import { judge } from "./reference.ts";

// A small generator with a fixed seed: every run is the same run (mulberry32).
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const seeds: readonly string[] = [
  "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
  "GET /x?y=1 HTTP/1.1\r\nHost: example.com:80\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n",
  "HEAD /x HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
  "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
  "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  'PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n',
  "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
  "GET http://b/c HTTP/1.1\r\nhost: a\r\n\r\n",
  "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
  "\r\nDELETE /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
  "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
];

// What smugglers are fond of, and what parsers stumble over.
const scraps: readonly string[] = [
  "\r",
  "\n",
  "\r\n",
  "\n\n",
  "\0",
  "\x0b",
  "\x7f",
  "\x80",
  "\xff",
  " ",
  "\t",
  ":",
  ";",
  ",",
  '"',
  "\\",
  "#",
  "%",
  "0",
  "-1",
  "+5",
  "0x5",
  "chunked",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding : chunked\r\n",
  "transfer-encoding: gzip\r\n",
  "Content-Length: 5\r\n",
  "content-length: 1\r\n",
  "Host: b\r\n",
  "host:\r\n",
  "connection: close\r\n",
  "expect: x\r\n",
  "HTTP/1.1",
  "HTTP/2.0",
  "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
  "\r\n ",
  "x: y\r\n z\r\n",
  "ffffffffffffffff",
  "*",
  "//",
  "http://",
  "@",
];

function mutate(random: (below: number) => number): string {
  let text = "";
  for (let i = 0; i <= random(3); i++) text += seeds[random(seeds.length)];
  for (let i = random(4); i > 0; i--) text = mutateOnce(text, random);
  return text;
}

function mutateOnce(text: string, random: (below: number) => number): string {
  const at = random(text.length + 1);
  const scrap = scraps[random(scraps.length)] as string;
  switch (random(6)) {
    case 0:
      return text.slice(0, at) + scrap + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random(4));
    case 2:
      return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
    case 3:
      return text.slice(0, at) + scrap + text.slice(at + scrap.length);
    case 4:
      return text.slice(0, at) + text.slice(random(text.length + 1));
    default:
      return text.slice(0, at);
  }
}

const answer = mist.response(200);

const handler: mist.Handler = (request) => {
  if (request.body.ended) return answer;
  return mist.readBody(request, { maxBodyLimit: 1 << 16 }).then(() => answer);
};

function collect(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

interface Case {
  readonly text: string;
  readonly connection: FakeConnection;
}

function begin(text: string, random: (below: number) => number): Case {
  const connection = pump(handler);
  const bytes = Buffer.from(text, "latin1");
  const cut = random(4) === 0 ? random(bytes.length + 1) : bytes.length;
  connection.protocol?.data(bytes.subarray(0, cut));
  if (cut < bytes.length && !connection.closed) connection.protocol?.data(Buffer.from(bytes.subarray(cut)));
  return { text, connection };
}

// Undefined: as it should be.
function fault({ text, connection }: Case): string | undefined {
  const given = statuses(connection.output).filter((status) => status !== 100);
  const { requests, broken } = judge(text);
  const good = given.filter((status) => status === 200).length;
  const bad = given.filter((status) => status >= 400 && status < 600);
  const wrong =
    connection.failure !== undefined ||
    !connection.closed ||
    good !== requests.length ||
    bad.length !== (broken ? 1 : 0) ||
    (broken && given.at(-1) === 200);
  if (!wrong) return undefined;
  return JSON.stringify({
    text,
    given,
    requests: requests.length,
    broken,
    closed: connection.closed,
    why: String(connection.failure),
  });
}

describe("a hundred thousand mutated conversations", () => {
  it("are answered as far as they are good, refused where they are not, and leave nothing behind", async () => {
    const random = generator(20_251_120);
    const faults: string[] = [];
    let refused = 0;
    let heapEarly = 0;
    const rounds = 1000;
    for (let round = 0; round < rounds; round++) {
      const cases = Array.from({ length: 100 }, () => begin(mutate(random), random));
      await settled();
      for (const { connection } of cases) if (!connection.closed) connection.protocol?.end?.();
      await settled();
      for (const one of cases) {
        const wrong = fault(one);
        if (wrong !== undefined) faults.push(wrong);
        if (/ [45]\d\d /.test(one.connection.output)) refused += 1;
        one.connection.tellClosed();
      }
      if (round === rounds / 5) {
        collect();
        heapEarly = process.memoryUsage().heapUsed;
      }
    }
    collect();
    expect(faults.slice(0, 5)).toEqual([]);
    // The mutations bite: a test that refuses nothing would prove nothing.
    expect(refused).toBeGreaterThan(30_000);
    expect(process.memoryUsage().heapUsed - heapEarly).toBeLessThan(8 * 1024 * 1024);
  }, 60_000);
});
