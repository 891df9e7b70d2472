// Whole sessions of clients, written by hand and recorded, and what becomes of them when bytes are changed at random.

import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import {
  block,
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  POST,
  reset,
  settings,
  TYPE,
  text,
  uint32,
  windowUpdate,
} from "./frames.ts";

/** A block that adds to the table and one that refers to it. */
const INDEXING = Buffer.concat([block(GET), Buffer.from([0x40]), text("x-key"), text("value")]);
const INDEXED = Buffer.concat([block(GET), Buffer.from([0x80 | 62])]);
const HUFFMAN = Buffer.from("828684418cf1e3c2e5f23a6ba0ab90f4ff", "hex");

/** Written by hand, for the rules they touch. */
export const SESSIONS: readonly Buffer[] = [
  [headers(1, GET), headers(3, GET), PING],
  [headers(1, POST, END_HEADERS), data(1, "hello"), data(1, " world", END_STREAM)],
  [headers(1, POST, END_HEADERS), data(1, "hello"), headers(1, [["x-sum", "1"]]), headers(3, GET)],
  [headers(1, POST, END_HEADERS), data(1, "\x02hi\0\0", 8), reset(1), headers(3, GET)],
  [frame(1, 5, 1, INDEXING), frame(1, 5, 3, INDEXED), frame(1, 5, 5, INDEXED)],
  [frame(1, 5, 1, HUFFMAN), frame(1, 5, 3, HUFFMAN)],
  [
    frame(1, 1, 1, INDEXING.subarray(0, 10)),
    frame(9, 0, 1, INDEXING.subarray(10, 30)),
    frame(9, 4, 1, INDEXING.subarray(30)),
  ],
  [
    settings([4, 1], [1, 0], [5, 20_000]),
    headers(1, GET),
    windowUpdate(1, 1),
    windowUpdate(1, 100),
    windowUpdate(0, 5),
  ],
  [
    frame(TYPE.PRIORITY, 0, 3, [0, 0, 0, 1, 5]),
    frame(16, 0, 0, Buffer.concat([uint32(1), Buffer.from("u=1, i")])),
    headers(1, GET),
  ],
  [
    headers(1, [...POST, ["content-length", "4"]], END_HEADERS),
    data(1, "test", END_STREAM),
    frame(7, 0, 0, Buffer.alloc(8)),
  ],
  [
    headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)], 4),
    data(1, "abc"),
    data(1, "", 1),
  ],
  [
    headers(
      1,
      [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1), ["sec-websocket-version", "13"]],
      4,
    ),
    // "hi", masked with zeros, a ping, and a Close frame
    data(1, "\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0"),
    data(1, "\x88\x82\0\0\0\0\x03\xe8"),
    data(1, "", 1),
  ],
  [
    headers(1, [...GET, ["cookie", "a=b"], ["cookie", "c=d"], ["priority", "u=0"]]),
    headers(3, [[":method", "HEAD"], ...GET.slice(1)]),
  ],
].map((frames) => Buffer.concat([HELLO, ...frames]));

/** What curl, nghttp, undici, node:http2, grpc-js and Chromium have said (conformance/record-sessions.mjs). */
export const RECORDED: Readonly<Record<string, Buffer>> = Object.fromEntries(
  Object.entries(JSON.parse(readFileSync(new URL("recorded.json", import.meta.url), "utf8"))).map(
    ([client, bytes]) => [client, Buffer.from(bytes as string, "base64")],
  ),
);
const ALL: readonly Buffer[] = [...SESSIONS, ...Object.values(RECORDED)];

/** Numbers below what is asked for, the same for the same seed. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

export type Random = (below: number) => number;

/** A session with bytes changed, lost, said twice, put in; mostly behind the preface, where it gets interesting. */
export function mutate(random: Random): Buffer {
  let bytes = ALL[random(ALL.length)] as Buffer;
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at =
      random(20) === 0 ? random(bytes.length) : Math.min(bytes.length, 24 + random(bytes.length - 23));
    const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (random(6)) {
      case 0:
        bytes = Buffer.concat([before, Buffer.from([random(256)]), behind.subarray(1)]);
        break;
      case 1:
        bytes = Buffer.concat([before, behind.subarray(1 + random(4))]);
        break;
      case 2:
        bytes = Buffer.concat([before, behind.subarray(0, random(30)), behind]);
        break;
      case 3:
        bytes = Buffer.concat([
          before,
          frame(random(18), random(256), random(8), behind.subarray(0, random(16))),
        ]);
        break;
      case 4:
        bytes = Buffer.concat([
          before,
          frame(random(18), random(64), 1 + 2 * random(4), behind.subarray(0, random(9))),
          behind,
        ]);
        break;
      default:
        bytes = Buffer.concat([before, (ALL[random(ALL.length)] as Buffer).subarray(HELLO.length)]);
    }
    if (bytes.length < 30) return bytes;
  }
  return bytes;
}
