// 100 000 mutated requests: no crash, no hang, and never an answer to a broken one as if it were good.
// A second reading of the grammar (reference.ts) says which are broken. Deterministic.

import { expect, test } from "vitest";
import { read } from "./reference.ts";
import { type Transcript, transcript } from "./transcript.ts";

const SEEDS = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /path/to?query=1&b=%20 HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent: x/1.0 (y)\r\nAccept: */*\r\n\r\n",
  "HEAD http://b.example/x HTTP/1.1\r\nHost: b.example\r\nConnection: keep-alive\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
  "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
  'PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\na;b=c;d="e;f"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n',
  "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  "\r\nDELETE /x HTTP/1.1\r\nHost: [::1]:80\r\nCookie: a=b; c=d\r\nX: \xe9\xff\r\n\r\n",
];

/** What attackers put where it does not belong. */
const PIECES = [
  "\r\n",
  "\r",
  "\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  ";",
  "\r\n\r\n",
  "\r\n ",
  "0\r\n\r\n",
  "\x0b",
  "\x7f",
  "\x80",
  "\xff",
  "%00",
  "#",
  "?",
  "@",
  "\\",
  '"',
  "=",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Host: evil\r\n",
  "Connection: close\r\n",
  "chunked",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "+",
  "-",
  "0x",
  "00",
  "99999999999999999999",
  "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n",
  "CONNECT a:1 ",
];

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function mutate(random: (below: number) => number): string {
  let text = SEEDS[random(SEEDS.length)] as string;
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(text.length + 1);
    const [before, behind] = [text.slice(0, at), text.slice(at)];
    switch (random(7)) {
      case 0: // a byte changed
        text = before + String.fromCharCode(random(256)) + behind.slice(1);
        break;
      case 1: // bytes lost
        text = before + behind.slice(1 + random(4));
        break;
      case 2: // bytes said twice
        text = before + behind.slice(0, random(12)) + behind;
        break;
      case 3: // another request's end
        text = before + (SEEDS[random(SEEDS.length)] as string).slice(random(40));
        break;
      case 4: // case turned
        text = before + swapCase(behind.slice(0, 1)) + behind.slice(1);
        break;
      default: // a piece put in
        text = before + (PIECES[random(PIECES.length)] as string) + behind;
    }
  }
  return text;
}

function swapCase(text: string): string {
  return /[A-Z]/.test(text)
    ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    : text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
}

const STATUSES = new Set([400, 414, 417, 431, 501, 505]);

function check(text: string, actual: Transcript): void {
  const complete = actual.requests.filter(({ trailers }) => trailers !== undefined);
  const expected = read(text);
  const found = complete.map(({ method, target, body }) => [method, target, body]);
  expect({ text, requests: found }).toEqual({ text, requests: expected.requests });
  if (typeof actual.end === "number") {
    expect({ text, known: STATUSES.has(actual.end) }).toEqual({ text, known: true });
    // The core sees a fault as soon as it is there, the reference at the end of its line.
    expect({ text, rest: expected.rest === "none" && text.length > 0 ? "none" : "other" }).toEqual({
      text,
      rest: "other",
    });
  } else if (expected.rest === "fault") {
    expect({ text, end: actual.end }).toEqual({ text, end: "a fault" });
  }
}

function cut(text: string, random: (below: number) => number): string[] {
  const packets: string[] = [];
  for (let rest = text; rest !== ""; ) {
    const size = 1 + random(12);
    packets.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return packets;
}

test("100 000 mutated requests", { timeout: 60_000 }, () => {
  const random = randomFrom(9112);
  const ends = new Map<string, number>();
  for (let i = 0; i < 100_000; i++) {
    const text = mutate(random);
    const whole = transcript([text]);
    if (i % 4 === 0) checkCut(text, whole, transcript(cut(text, random)));
    checkQuickly(text, whole);
    ends.set(String(whole.end), (ends.get(String(whole.end)) ?? 0) + 1);
  }
  // The mutations reach every kind of answer.
  for (const end of ["need-data", "closed", "400", "417", "501", "505"])
    expect(ends.get(end) ?? 0).toBeGreaterThan(10);
});

function checkCut(text: string, whole: Transcript, cutUp: Transcript): void {
  if (JSON.stringify(cutUp) !== JSON.stringify(whole)) expect({ text, ...cutUp }).toEqual({ text, ...whole });
}

/** `check` without its comparisons where plain ones suffice: a hundred thousand `expect`s are slow. */
function checkQuickly(text: string, actual: Transcript): void {
  const expected = read(text);
  const complete = actual.requests.filter(({ trailers }) => trailers !== undefined);
  const same =
    complete.length === expected.requests.length &&
    expected.requests.every(([method, target, body], i) => {
      const request = complete[i];
      return request?.method === method && request.target === target && request.body === body;
    });
  const refused = typeof actual.end === "number";
  if (same && refused === (expected.rest === "fault") && (!refused || STATUSES.has(actual.end as number)))
    return;
  check(text, actual);
}
