// Every limit with the attack it is for, and the honest clients it must not cut off. Memory is counted by what the core
// says it holds, and where that would prove nothing, by the heap.

import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { LimitError } from "../../src/errors.ts";
import type { Http2Connection } from "../../src/http2/connection.ts";
import type { FailedEvent, Http2Event } from "../../src/http2/events.ts";
import { DEFAULT_LIMITS } from "../../src/http2/limits.ts";
import { answerComplete, Conversation, outcome } from "./conversation.ts";
import {
  ACK,
  block,
  data,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  type FieldList,
  frame,
  GET,
  HELLO,
  headers,
  PING,
  POST,
  PREFACE,
  reset,
  SETTINGS_ACK,
  settings,
  TYPE,
  text,
  uint32,
  windowUpdate,
} from "./frames.ts";

function failure({ events }: Conversation): FailedEvent | undefined {
  return events.find((event): event is FailedEvent => event.type === "failed");
}

/** Feeds packet after packet until the core has had enough; how many it took. */
function flood(talk: Conversation, packet: (index: number) => Buffer, most: number): number {
  for (let index = 0; index < most; index++) {
    talk.feed(packet(index));
    talk.take();
    if (failure(talk) !== undefined) return index + 1;
  }
  return most;
}

function expectLimit(talk: Conversation, limit: string): void {
  const failed = failure(talk);
  expect(failed?.error).toBeInstanceOf(LimitError);
  expect(failed).toMatchObject({ code: ENHANCE_YOUR_CALM, error: { limit } });
  expect(talk.core.retainedBytes).toBe(0);
  expect(talk.core.openStreams).toBe(0);
}

const times = (count: number, bytes: Buffer) => Buffer.concat(Array.from({ length: count }, () => bytes));

describe("floods of frames without effect", () => {
  test.each<[string, Buffer, number]>([
    ["PING (CVE-2019-9512)", PING, 1],
    ["PING acknowledgements", frame(TYPE.PING, ACK, 0, "12345678"), 1],
    ["SETTINGS (CVE-2019-9515)", settings(), 50],
    ["SETTINGS acknowledgements", SETTINGS_ACK, 1],
    ["PRIORITY (CVE-2019-9513)", frame(TYPE.PRIORITY, 0, 1, [0, 0, 0, 3, 1]), 1],
    ["PRIORITY_UPDATE", frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(1), Buffer.from("u=1")])), 1],
    ["WINDOW_UPDATE", windowUpdate(0, 1), 1],
    ["WINDOW_UPDATE of a stream", windowUpdate(1, 1), 1],
    ["empty DATA (CVE-2019-9518)", data(1, ""), 1],
    ["DATA of padding alone", data(1, "\x03\0\0\0", 8), 1],
    ["unknown frames", frame(0x77, 0, 0, "x"), 1],
    ["GOAWAY", frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(8)), 1],
  ])("%s", (_, bytes, cost) => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS)]));
    const taken = flood(talk, () => times(100, bytes), 1000) * 100;
    expectLimit(talk, "overheadBurst");
    expect(taken).toBeLessThanOrEqual(DEFAULT_LIMITS.overheadBurst / cost + 100);
  });

  test("WINDOW_UPDATE and RST_STREAM of streams that are closed", () => {
    for (const bytes of [windowUpdate(1, 1), reset(1)]) {
      const talk = new Conversation().feed(Buffer.concat([HELLO, headers(1, GET)]));
      flood(talk, () => times(100, bytes), 1000);
      expectLimit(talk, "overheadBurst");
    }
  });

  test("answers that the peer does not read", () => {
    const talk = new Conversation();
    talk.core.receive(Buffer.concat([HELLO, times(20_000, PING)]), 0);
    let event: Http2Event;
    do event = talk.core.next();
    while (event.type !== "failed");
    expect(event.error).toMatchObject({ limit: "maxWaitingControls" });
    expect(talk.core.queuedBytes).toBeLessThan(200_000);
  });
});

describe("resets", () => {
  test("by the peer (rapid reset, CVE-2023-44487)", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    const taken = flood(
      talk,
      (index) => Buffer.concat([headers(index * 2 + 1, GET), reset(index * 2 + 1)]),
      5000,
    );
    expectLimit(talk, "resetBurst");
    expect(taken).toBe(DEFAULT_LIMITS.resetBurst + 1);
  });

  test.each<[string, (id: number) => Buffer]>([
    ["a window increment of 0", (id) => Buffer.concat([headers(id, POST, END_HEADERS), windowUpdate(id, 0)])],
    ["a window that overflows", (id) => Buffer.concat([headers(id, GET), windowUpdate(id, 0x7fff_ffff)])],
    ["DATA behind the end", (id) => Buffer.concat([headers(id, GET), data(id, "x")])],
    ["HEADERS behind the end", (id) => Buffer.concat([headers(id, GET), headers(id, GET)])],
    [
      "PRIORITY of the wrong size",
      (id) => Buffer.concat([headers(id, GET), frame(TYPE.PRIORITY, 0, id, [1])]),
    ],
    ["content-length that does not agree", (id) => headers(id, [...POST, ["content-length", "1"]])],
    ["malformed heads", (id) => headers(id, [...GET, ["X", "y"]])],
    [
      "a frame behind RST_STREAM",
      (id) => Buffer.concat([headers(id, POST, END_HEADERS), reset(id), data(id, "x")]),
    ],
  ])("provoked from us (CVE-2025-8671): %s", (_, attack) => {
    const talk = new Conversation(() => {}).feed(HELLO);
    const taken = flood(talk, (index) => attack(index * 2 + 1), 5000);
    expectLimit(talk, "resetBurst");
    expect(taken).toBeLessThanOrEqual(DEFAULT_LIMITS.resetBurst + 1);
  });

  test("streams beyond the announced number", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    flood(talk, (index) => headers(index * 2 + 1, POST, END_HEADERS), 5000);
    expectLimit(talk, "resetBurst");
  });

  test("an old reset is forgotten, and what is left does no harm", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    for (let id = 1; id < 1200; id += 2)
      talk.feed(Buffer.concat([headers(id, POST, END_HEADERS), reset(id)]));
    // Long closed: DATA is ignored rather than held against the peer.
    talk.feed(Buffer.concat([data(1, "x"), PING]));
    expect(outcome(talk)).toMatchObject({ goaway: undefined, pongs: 1 });
  });

  test("our own do not count (jetty #13807)", () => {
    const talk = new Conversation((event, core) => {
      if (event.type !== "request") return;
      core.sendHead(event.stream, { status: 413, fields: [], length: 0 }, "");
      core.sendEnd(event.stream);
      core.stopReading(event.stream);
    }).feed(HELLO);
    for (let id = 1; id < 6000; id += 2) talk.feed(headers(id, POST, END_HEADERS));
    expect(failure(talk)).toBe(undefined);
  });
});

describe("heads", () => {
  const big = (count: number, size: number): FieldList => [
    ...GET,
    ...Array.from({ length: count }, (_, i): [string, string] => [`x-${i}`, "v".repeat(size)]),
  ];

  test.each<[string, FieldList, string]>([
    ["too large", big(2, 9000), "431"],
    ["too many fields", big(97, 1), "431"],
    ["too many crumbs of a cookie", [...GET, ...Array(120).fill(["cookie", "a=b"])], "431"],
    [
      "a long target",
      GET.map(([n, v]): [string, string] => [n, n === ":path" ? `/${"x".repeat(8192)}` : v]),
      "414",
    ],
  ])("%s: %s", (_, fields, status) => {
    const fragments = block(fields);
    const send = [HELLO, frame(TYPE.HEADERS, END_STREAM, 1, fragments.subarray(0, 16_384))];
    for (let at = 16_384; at < fragments.length; at += 16_384) {
      send.push(frame(TYPE.CONTINUATION, 0, 1, fragments.subarray(at, at + 16_384)));
    }
    send.push(frame(TYPE.CONTINUATION, END_HEADERS, 1), headers(3, GET));
    const talk = new Conversation().feed(Buffer.concat(send));
    expect(outcome(talk)).toMatchObject({ goaway: undefined, answers: { 1: status, 3: "200 ok" } });
  });

  test("the answer to HEAD has no body, also when it is refused", () => {
    const talk = new Conversation(() => {}).feed(
      Buffer.concat([HELLO, headers(1, [[":method", "HEAD"], ...big(2, 7000).slice(1), ["expect", "x"]])]),
    );
    expect(talk.stream(1)).toMatchObject({ isHead: true, head: undefined });
  });

  test("trailers too large reset their stream", () => {
    const trailers = headers(1, [["x", "v".repeat(9000)]]);
    const talk = new Conversation().feed(
      Buffer.concat([HELLO, headers(1, POST, END_HEADERS), trailers, headers(3, GET)]),
    );
    expect(outcome(talk)).toMatchObject({ resets: { 1: ENHANCE_YOUR_CALM }, answers: { 3: "200 ok" } });
  });

  test("CONTINUATION without end (CVE-2024-27316)", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, headers(1, GET, END_STREAM)]));
    let most = 0;
    const taken = flood(
      talk,
      () => {
        most = Math.max(most, talk.core.retainedBytes);
        return frame(TYPE.CONTINUATION, 0, 1, Buffer.alloc(16_384));
      },
      1000,
    );
    expectLimit(talk, "maxHead");
    expect([taken, most]).toEqual([4, 3 * 16_384 + block(GET).length]);
  });

  test("empty CONTINUATION without end", () => {
    const talk = new Conversation().feed(Buffer.concat([HELLO, headers(1, GET, END_STREAM)]));
    expect(flood(talk, () => frame(TYPE.CONTINUATION, 0, 1), 1000)).toBe(65);
    expectLimit(talk, "maxContinuations");
  });

  test("an HPACK bomb: one large field, referred to again and again (CVE-2016-6581)", () => {
    const plant = frame(
      1,
      5,
      1,
      Buffer.concat([block(GET), Buffer.from([0x40]), text("x"), text("v".repeat(4000))]),
    );
    const bomb = frame(1, 5, 3, Buffer.concat([block(GET), Buffer.alloc(16_000, 0x80 | 62)]));
    const talk = new Conversation().feed(Buffer.concat([HELLO, plant, bomb]));
    expectLimit(talk, "maxHead");
  });

  test("a bomb of tiny fields (CVE-2026-49975, CVE-2026-47774)", () => {
    // `accept: ` of the static table, and crumbs of cookies: one octet each on the wire.
    for (const index of [19, 32]) {
      const bomb = frame(1, 5, 1, Buffer.concat([block(GET), Buffer.alloc(16_000, 0x80 | index)]));
      const talk = new Conversation().feed(Buffer.concat([HELLO, bomb]));
      expectLimit(talk, index === 19 ? "maxFields" : "maxFields");
    }
  });

  test("bombs below the hard limit keep nothing", () => {
    // 431 for each; what was decoded is gone.
    const bomb = (id: number) => frame(1, 5, id, Buffer.concat([block(GET), Buffer.alloc(300, 0x80 | 32)]));
    const talk = new Conversation().feed(HELLO);
    const before = process.memoryUsage().heapUsed;
    for (let id = 1; id < 10_000; id += 2) {
      talk.feed(bomb(id)).take();
      talk.events.length = 0;
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
    expect(talk.core.openStreams).toBe(0);
  });

  test("a table that is resized and filled, again and again", () => {
    const fill = Buffer.concat([Buffer.from([0x40]), text("x"), text("v".repeat(3000))]);
    const churn = (id: number) =>
      frame(1, 5, id, Buffer.concat([Buffer.from([0x20, 0x3f, 0xe1, 0x1f]), block(GET), fill, fill]));
    const talk = new Conversation().feed(HELLO);
    for (let id = 1; id < 2000; id += 2) talk.feed(churn(id)).take();
    expect(talk.core.retainedBytes).toBe(0);
    expect(failure(talk)).toBe(undefined);
  });
});

describe("what a peer can make the core hold", () => {
  test("bodies that nobody reads stop at their windows", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    let sent = 0;
    for (let id = 1; id < 200 && failure(talk) === undefined; id += 2) {
      talk.feed(headers(id, POST, END_HEADERS));
      for (let i = 0; i < 3; i++, sent += 16_384) talk.feed(data(id, Buffer.alloc(16_384)));
    }
    expect(sent).toBe(100 * 3 * 16_384);
    expect(talk.core.retainedBytes).toBe(sent);
    // A peer that ignores its window is cut off, at the latest where all streams together may go.
    const windows = DEFAULT_LIMITS.maxUnread + DEFAULT_LIMITS.connectionWindow;
    expect(talk.core.retainedBytes).toBeLessThan(windows);
  });

  test("beyond the bound for all streams together the connection's window stays shut", () => {
    const limits = { ...DEFAULT_LIMITS, connectionWindow: 65_535, maxUnread: 131_072 };
    const talk = new Conversation(() => {}, { limits }).feed(HELLO);
    for (let id = 1; id < 40 && failure(talk) === undefined; id += 2) {
      talk.feed(Buffer.concat([headers(id, POST, END_HEADERS), data(id, Buffer.alloc(16_384))]));
    }
    expect(failure(talk)).toMatchObject({ code: 3 });
  });

  test("single bytes in large packets do not keep the packets", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS), headers(3, POST, END_HEADERS)]));
    for (let i = 0; i < 2000; i++) {
      talk.feed(Buffer.concat([data(1, "x"), data(3, Buffer.alloc(16_000))]));
      talk.core.read(talk.stream(3));
    }
    expect(talk.core.retainedBytes).toBe(2000);
    const memories = new Set<ArrayBufferLike>();
    for (let piece = talk.core.read(talk.stream(1)); piece; piece = talk.core.read(talk.stream(1))) {
      memories.add(piece.buffer);
    }
    let held = 0;
    for (const memory of memories) held += memory.byteLength;
    expect(held).toBeLessThan(20_000);
  });

  test("what the peer does not take is refused room", () => {
    const talk = new Conversation(() => {});
    talk.feed(Buffer.concat([PREFACE, settings([4, 0]), SETTINGS_ACK, headers(1, GET)]));
    talk.core.sendHead(talk.stream(1), { status: 200, fields: [], length: undefined }, "");
    let pieces = 0;
    while (talk.core.sendData(talk.stream(1), Buffer.alloc(1000))) pieces++;
    expect(pieces).toBe(58);
    expect(talk.core.queuedBytes).toBeLessThan(70_000);
  });

  test("early priorities", () => {
    const talk = new Conversation().feed(HELLO);
    for (let id = 1; id < 10_000; id += 2) {
      talk.feed(frame(TYPE.PRIORITY_UPDATE, 0, 0, Buffer.concat([uint32(id), Buffer.from("u=1")])));
    }
    // Only so many as there may be streams are remembered: the first ones.
    talk.feed(Buffer.concat([headers(199, GET), headers(9999, GET)]));
    expect(talk.stream(199).priority.urgency).toBe(1);
    expect(talk.stream(9999).priority.urgency).toBe(3);
  });
});

describe("honest clients", () => {
  const alive = (talk: Conversation) => {
    talk.feed(PING);
    expect(failure(talk)).toBe(undefined);
    expect(outcome(talk)).toMatchObject({ goaway: undefined, pongs: 1 });
  };
  const readAsItComes = (event: Http2Event, core: Http2Connection) => {
    if (event.type === "data") while (core.read(event.stream));
    else answerComplete(event, core);
  };

  test("a gRPC stream of small messages, both ways", () => {
    const talk = new Conversation(readAsItComes).feed(Buffer.concat([HELLO, headers(1, POST, END_HEADERS)]));
    const stream = talk.stream(1);
    talk.core.sendHead(
      stream,
      { status: 200, fields: [["content-type", "application/grpc"]], length: undefined },
      "",
    );
    for (let i = 0; i < 40_000; i++) {
      talk.core.sendData(stream, "\0\0\0\0\x02ok");
      // Updates of both windows for every message, as some clients send them, and a PING to measure with.
      talk.feed(
        Buffer.concat([
          data(1, "\0\0\0\0\x02hi"),
          windowUpdate(1, 7),
          windowUpdate(0, 7),
          i % 8 === 0 ? PING : Buffer.alloc(0),
        ]),
      );
      talk.take();
      talk.events.length = 0;
    }
    expect(stream.received).toBe(280_000);
    alive(talk);
  });

  test("a browser that cancels what it has asked for, again and again", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    let id = 1;
    // A hundred tiles at a time, all cancelled, every three seconds for a minute; and one burst of nine hundred.
    for (let round = 0; round < 20; round++, talk.now += 3000) {
      const ids = Array.from({ length: 100 }, () => (id += 2));
      talk.feed(Buffer.concat(ids.map((one) => headers(one, GET))));
      talk.feed(Buffer.concat(ids.map((one) => reset(one))));
    }
    talk.now += 30_000;
    for (let i = 0; i < 900; i++, id += 2) talk.feed(Buffer.concat([headers(id + 2, GET), reset(id + 2)]));
    talk.take();
    alive(talk);
  });

  test("a proxy whose users cancel every fifth request, at ten thousand a second", {
    timeout: 60_000,
  }, () => {
    const talk = new Conversation((event, core) => {
      if (event.type === "request" && event.stream.id % 10 !== 1) answerComplete(event, core);
    }).feed(HELLO);
    for (let id = 1; id < 40_000; id += 10, talk.now += 0.5) {
      const requests = [0, 2, 4, 6, 8].map((offset) => headers(id + offset, GET));
      talk.feed(Buffer.concat([...requests, reset(id), windowUpdate(0, 8)]));
      talk.sent.length = 0;
      talk.events.length = 0;
    }
    alive(talk);
  });

  test("a connection of a hundred thousand requests, with all that goes with them", {
    timeout: 60_000,
  }, () => {
    const talk = new Conversation((event, core) => {
      if (event.type === "request" && event.stream.id % 100 !== 1) answerComplete(event, core);
    }).feed(HELLO);
    // Five seconds, so that no budget refills by time alone.
    const before = process.memoryUsage().heapUsed;
    for (let id = 1; id < 200_000; id += 200, talk.now += 5) {
      const requests = Array.from({ length: 100 }, (_, n) => headers(id + n * 2, GET));
      const extra = [reset(id), reset(id + 100), windowUpdate(0, 196), PING, settings([3, 100])];
      talk.feed(Buffer.concat([...requests, ...extra]));
      talk.sent.length = 0;
      talk.events.length = 0;
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
    expect(talk.core.openStreams).toBe(0);
    alive(talk);
  });

  test("a page of a hundred requests, cancelled and asked for again, twice in a second", () => {
    const talk = new Conversation(() => {}).feed(HELLO);
    let id = 1;
    for (let round = 0; round < 4; round++, talk.now += 250) {
      const ids = Array.from({ length: 100 }, () => (id += 2));
      talk.feed(Buffer.concat(ids.map((one) => headers(one, GET))));
      talk.feed(Buffer.concat(ids.map((one) => reset(one))));
    }
    talk.take();
    alive(talk);
  });

  test("many quick PINGs", () => {
    const talk = new Conversation().feed(HELLO);
    for (let i = 0; i < 200; i++, talk.now += 10) talk.feed(times(100, PING));
    talk.take();
    alive(talk);
  });

  test("a priority for every request", () => {
    const talk = new Conversation().feed(HELLO);
    for (let id = 1; id < 50_000; id += 2) {
      const update = Buffer.concat([uint32(id), Buffer.from("u=2, i")]);
      talk.feed(Buffer.concat([frame(TYPE.PRIORITY_UPDATE, 0, 0, update), headers(id, GET)]));
      talk.take();
      talk.events.length = 0;
    }
    alive(talk);
  });

  test("a long download with an update for every frame", () => {
    const talk = new Conversation(() => {}).feed(Buffer.concat([HELLO, headers(1, GET)]));
    const stream = talk.stream(1);
    talk.core.sendHead(stream, { status: 200, fields: [], length: undefined }, "");
    const piece = Buffer.alloc(16_384);
    for (let i = 0; i < 30_000; i++) {
      talk.core.sendData(stream, piece);
      talk.feed(Buffer.concat([windowUpdate(1, 16_384), windowUpdate(0, 16_384)]));
      talk.sent.length = 0;
      talk.events.length = 0;
    }
    alive(talk);
  });
});
