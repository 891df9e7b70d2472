// What one HTTP/2 client may do to the server: stall, flood, leave. Other connections do not notice.

import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import * as net from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import {
  END_HEADERS,
  type Frame,
  FrameParser,
  frame,
  headers,
  PREFACE,
  SETTINGS_ACK,
  settings,
  TYPE,
  windowUpdate,
} from "../http2/frames.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

/** GET / with `:authority: a`, END_STREAM unless `flags` says otherwise. */
const get = (id: number, flags = 5): Buffer =>
  frame(1, flags, id, Buffer.from([0x82, 0x86, 0x84, 0x41, 0x01, 0x61]));

/** The handshake of a WebSocket (RFC 8441). */
const handshake = (id: number): Buffer =>
  headers(
    id,
    [
      [":method", "CONNECT"],
      [":protocol", "websocket"],
      [":scheme", "http"],
      [":path", "/ws"],
      [":authority", "a"],
      ["sec-websocket-version", "13"],
    ],
    END_HEADERS,
  );

/** A client that says what it likes, and reads when it is told to. */
async function peer(port: number): Promise<net.Socket & { readonly frames: readonly Frame[] }> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  const parser = new FrameParser();
  socket.on("data", (piece) => parser.add(piece));
  return Object.assign(socket, { frames: parser.frames });
}

const goaways = (frames: readonly Frame[]): number[] =>
  frames.filter(({ type }) => type === TYPE.GOAWAY).map(({ payload }) => payload.readUInt32BE(4));

const never = new Promise<never>(() => {});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Memory of this process that something holds, in bytes. */
const held = (): number => {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const mebibyte = 1024 * 1024;

/** Asks `/other` on a connection of its own, again and again, until `stop` is called; that gives the statuses. */
async function bystander(url: string): Promise<{ stop(): Promise<readonly number[]> }> {
  const client = await session(url);
  const statuses: number[] = [];
  let over = false;
  const loop = (async () => {
    do statuses.push((await ask(client, "/other")).status);
    while (!over);
  })();
  return {
    async stop() {
      over = true;
      await loop;
      return statuses;
    },
  };
}

describe("floods end with GOAWAY, ENHANCE_YOUR_CALM", () => {
  const rst = (id: number) => frame(3, 0, id, Buffer.from([0, 0, 0, 8]));
  /** GET with a body to come. */
  const open = (n: number) => get(n * 2 + 1, 4);
  const head = Buffer.from([0x82, 0x86, 0x84, 0x41, 1, 0x61]);
  /** `x` with a value of 4000 bytes, for the table. */
  const large = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, "v")]);
  const bomb = (octet: number) => (n: number) =>
    frame(1, 5, n * 2 + 1, Buffer.concat([head, Buffer.alloc(16_000, octet)]));

  test.each<[string, (n: number) => Buffer]>([
    ["rapid reset", (n) => Buffer.concat([get(n * 2 + 1), rst(n * 2 + 1)])],
    [
      "MadeYouReset, a window increment of 0",
      (n) => Buffer.concat([get(n * 2 + 1), frame(8, 0, n * 2 + 1, Buffer.alloc(4))]),
    ],
    [
      "MadeYouReset, a window that overflows",
      (n) => Buffer.concat([get(n * 2 + 1), frame(8, 0, n * 2 + 1, Buffer.from([0x7f, 0xff, 0xff, 0xff]))]),
    ],
    [
      "MadeYouReset, DATA behind the end",
      (n) => Buffer.concat([get(n * 2 + 1), frame(0, 0, n * 2 + 1, Buffer.from("x"))]),
    ],
    [
      "MadeYouReset, a dependency on itself",
      (n) => {
        const id = Buffer.alloc(5);
        id.writeUInt32BE(n * 2 + 1);
        return Buffer.concat([get(n * 2 + 1), frame(2, 0, n * 2 + 1, id)]);
      },
    ],
    ["rapid reset of WebSockets", (n) => Buffer.concat([handshake(n * 2 + 1), rst(n * 2 + 1)])],
    [
      "WebSockets that are sent more than they have room for",
      (n) => Buffer.concat([handshake(n * 2 + 1), windowUpdate(n * 2 + 1, 0x7fff_ffff)]),
    ],
    ["streams beyond the number that was announced", open],
    ["PING", () => frame(6, 0, 0, Buffer.alloc(8))],
    ["SETTINGS", () => settings([3, 1])],
    ["PRIORITY", () => frame(2, 0, 1, Buffer.alloc(5))],
    ["WINDOW_UPDATE", () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))],
    ["empty DATA", (n) => (n === 0 ? open(0) : frame(0, 0, 1))],
    ["empty HEADERS", (n) => frame(1, 5, n * 2 + 1)],
    ["CONTINUATION", (n) => (n === 0 ? get(1, 1) : frame(9, 0, 1))],
    [
      "CONTINUATION of full size",
      (n) => (n === 0 ? get(1, 1) : n > 20 ? Buffer.alloc(0) : frame(9, 0, 1, Buffer.alloc(16_384))),
    ],
    [
      "an HPACK bomb of one large field",
      (n) =>
        n > 20 ? Buffer.alloc(0) : n === 0 ? frame(1, 5, 1, Buffer.concat([head, large])) : bomb(0xbe)(n),
    ],
    ["an HPACK bomb of tiny fields", (n) => (n > 20 ? Buffer.alloc(0) : bomb(0x80 | 19)(n))],
    ["an HPACK bomb of crumbs of a cookie", (n) => (n > 20 ? Buffer.alloc(0) : bomb(0x80 | 32)(n))],
  ])("%s", async (_, attack) => {
    let aborted = 0;
    const { port, server, url } = await serve(async (request) => {
      if (request.path === "/other") return mist.text("ok");
      if (request.path === "/ws") return mist.websocket({ request, onInit: () => 0, handler: () => {} });
      request.signal.addEventListener("abort", () => aborted++);
      return await never;
    });
    const other = await bystander(url);
    const socket = await peer(port);
    const closed = once(socket, "close");
    const burst = Buffer.concat(Array.from({ length: 30_000 }, (_unused, n) => attack(n)));
    const before = held();
    socket.write(Buffer.concat([PREFACE, settings()]));
    socket.write(burst);
    await closed;
    expect(goaways(socket.frames)).toEqual([0xb]);
    expect(held() - before).toBeLessThan(64 * mebibyte);
    expect(new Set(await other.stop())).toEqual(new Set([200]));
    await expect.poll(() => server.info().streams).toBe(0);
    expect(aborted).toBeLessThanOrEqual(1100);
  });
});

describe("a client that does not take what it asks for", () => {
  test("heads: its requests are not read any more, and the server does not grow", async () => {
    let answered = 0;
    const { port, server } = await serve(() => {
      answered += 1;
      return mist.response(204).setHeader("x-large", "x".repeat(8000));
    });
    const socket = await peer(port);
    socket.pause();
    socket.write(Buffer.concat([PREFACE, settings()]));
    const before = process.memoryUsage.rss();
    for (let n = 0; n < 200; n++) {
      const burst = Buffer.concat(Array.from({ length: 500 }, (_, i) => get((n * 500 + i) * 2 + 1)));
      if (!socket.write(burst)) await Promise.race([once(socket, "drain"), answeredStill(() => answered)]);
      if (socket.writableLength > 1_000_000) break;
    }
    await answeredStill(() => answered);
    expect(answered).toBeLessThan(20_000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
    expect(server.info().connections).toBe(1);
  });

  test("a zero window: the stream is reset after sendMs, its producer let go of; others go on", async () => {
    const over = new Promise<void>((resolve) => {
      released = resolve;
    });
    const { port } = await serve(
      () =>
        mist.response(200).setBody(
          mist.chunked(
            (async function* () {
              try {
                for (;;) yield Buffer.alloc(1000);
              } finally {
                released();
              }
            })(),
          ),
        ),
      (builder) => builder.withDeadlines({ sendMs: 100 }),
    );
    const socket = await peer(port);
    socket.write(Buffer.concat([PREFACE, settings([4, 0]), get(1)]));
    await over;
    await expect.poll(() => socket.frames.some(({ type, id }) => type === 3 && id === 1)).toBe(true);
    expect(socket.destroyed).toBe(false);
  });
  let released = () => {};

  test("single bytes for a hundred streams: all are reset after sendMs, and little is held", async () => {
    let produced = 0;
    const { port, server, url } = await serve(
      (request) => {
        if (request.path === "/other") return mist.text("ok");
        const endless = (function* () {
          for (;;) {
            produced += 8192;
            yield Buffer.alloc(8192);
          }
        })();
        return mist.response(200).setBody(mist.chunked(endless));
      },
      (builder) => builder.withDeadlines({ sendMs: 300 }),
    );
    const other = await bystander(url);
    const before = held();
    const socket = await peer(port);
    const ids = Array.from({ length: 100 }, (_, n) => n * 2 + 1);
    socket.write(Buffer.concat([PREFACE, settings([4, 0]), frame(4, 1, 0), ...ids.map((id) => get(id))]));
    await expect.poll(() => server.info().streams).toBeGreaterThanOrEqual(100);
    const feeding = setInterval(() => {
      socket.write(Buffer.concat(ids.map((id) => frame(8, 0, id, Buffer.from([0, 0, 0, 1])))));
    }, 20);
    onTestFinished(() => clearInterval(feeding));
    await expect
      .poll(() => socket.frames.filter(({ type }) => type === 3).length, { timeout: 10_000 })
      .toBe(100);
    expect(produced).toBeLessThan(100 * 200_000);
    expect(held() - before).toBeLessThan(64 * mebibyte);
    expect(new Set(await other.stop())).toEqual(new Set([200]));
  });

  test("answers to PING: the connection is not read any more, and cut off after sendMs", async () => {
    const { port, server, url } = await serve(
      () => mist.text("ok"),
      (builder) => builder.withDeadlines({ sendMs: 300 }),
    );
    const other = await bystander(url);
    const socket = await peer(port);
    socket.pause();
    const before = held();
    socket.write(Buffer.concat([PREFACE, settings(), frame(4, 1, 0)]));
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(6, 0, 0, Buffer.alloc(8))));
    // Slowly enough for the budget of frames without effect.
    const flood = setInterval(() => {
      if (socket.writableLength < mebibyte) socket.write(pings);
    }, 50);
    onTestFinished(() => clearInterval(flood));
    await expect.poll(() => server.info().connections, { timeout: 60_000 }).toBe(1);
    expect(held() - before).toBeLessThan(64 * mebibyte);
    expect(new Set(await other.stop())).toEqual(new Set([200]));
  }, 70_000);

  test("a client that takes a large response slowly gets all of it", async () => {
    const { url } = await serve(() =>
      mist.response(200).setBody(mist.chunked(Array.from({ length: 64 }, () => Buffer.alloc(16_384, "x")))),
    );
    const client = await session(url, { settings: { initialWindowSize: 1000 } });
    const stream = client.request({ ":path": "/" });
    expect((await answerOf(stream)).body.length).toBe(64 * 16_384);
  });
});

describe("a slow client whose socket is full", () => {
  test("is heard: its upload arrives beside a download it does not take yet", async () => {
    const { port, reports } = await serve(
      async (request) => {
        if (request.path === "/") return mist.response(200).setBody(mist.bytes(Buffer.alloc(30 * mebibyte)));
        received += (await mist.readBody(request, { maxBodyLimit: 100 })).length;
        return mist.text("thanks");
      },
      (builder) => builder.withDeadlines({ bodyIdleMs: 1000, settingsAckMs: 1000 }),
    );
    let received = 0;
    const socket = await peer(port);
    socket.pause();
    socket.write(Buffer.concat([PREFACE, settings([4, 0x7fff_ffff]), windowUpdate(0, 0x7000_0000), get(1)]));
    // Longer than it takes for the download to fill the socket.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const path = Buffer.from([0x83, 0x86, 0x04, 2, 0x2f, 0x75, 0x41, 0x01, 0x61]);
    socket.write(
      Buffer.concat([SETTINGS_ACK, frame(TYPE.HEADERS, 4, 3, path), frame(TYPE.DATA, 1, 3, "upload")]),
    );
    await expect.poll(() => received).toBe(6);
    expect(reports).toEqual([]);
  });

  test("is given time to complete a frame from when it is read again", async () => {
    let answered = 0;
    const { port } = await serve(
      () => {
        answered += 1;
        return mist.response(204).setHeader("x-large", "x".repeat(8000));
      },
      (builder) => builder.withDeadlines({ headMs: 100 }),
    );
    const socket = await peer(port);
    socket.pause();
    const requests = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => get((from + n) * 2 + 1));
    socket.write(Buffer.concat([PREFACE, settings(), SETTINGS_ACK, ...requests(0, 3000)]));
    await answeredStill(() => answered);
    // Now the socket is full; behind these requests it is not read any more.
    const last = get(6201);
    socket.write(Buffer.concat([...requests(3000, 3100), last.subarray(0, 5)]));
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.write(last.subarray(5));
    socket.resume();
    await expect.poll(() => answered, { timeout: 10_000 }).toBe(3101);
    expect(goaways(socket.frames)).toEqual([]);
  });
});

describe("a client that is slow to speak", () => {
  test.each<[string, Buffer, string]>([
    ["half a preface", PREFACE.subarray(0, 10), "headMs"],
    ["half a frame", Buffer.concat([PREFACE, settings(), get(1).subarray(0, 12)]), "headMs"],
    ["half a head", Buffer.concat([PREFACE, settings(), get(1, 1)]), "headMs"],
    ["no acknowledgement", Buffer.concat([PREFACE, settings()]), "settingsAckMs"],
    [
      "nothing behind its answer",
      Buffer.concat([PREFACE, settings(), frame(4, 1, 0), get(1)]),
      "keepAliveMs",
    ],
  ])("%s", async (_, bytes, deadline) => {
    const reasons: unknown[] = [];
    const listen = (event: unknown): unknown => reasons.push((event as { reason: unknown }).reason);
    channel("glisten:connection:close").subscribe(listen);
    onTestFinished(() => void channel("glisten:connection:close").unsubscribe(listen));
    const all = { headMs: 5000, settingsAckMs: 5000, keepAliveMs: 5000 };
    const { port } = await serve(
      () => mist.text("ok"),
      (builder) => builder.withDeadlines({ ...all, [deadline]: 100 }),
    );
    const socket = await peer(port);
    const ended = once(socket, "end");
    socket.write(bytes);
    await ended;
    socket.end();
    await expect.poll(() => reasons).toEqual([{ type: "deadline", deadline }]);
  });
});

describe("a client that goes away", () => {
  test("half-closed behind its requests, it is answered", async () => {
    const { port } = await serve(async (request) => {
      await new Promise((resolve) => setImmediate(resolve));
      return mist.text(request.path);
    });
    const socket = await peer(port);
    const ended = once(socket, "end");
    socket.end(Buffer.concat([PREFACE, settings(), get(1), get(3)]));
    await ended;
    const data = socket.frames.filter(({ type }) => type === 0);
    expect(data.map(({ id, payload }) => [id, payload.toString()])).toEqual([
      [1, "/"],
      [3, "/"],
    ]);
  });

  test("half-closed in the middle of a body, the reader is told", async () => {
    const errors: unknown[] = [];
    const { port, reports } = await serve(async (request) => {
      await mist.readBody(request, { maxBodyLimit: 100 }).catch((error: unknown) => errors.push(error));
      return mist.text("never mind");
    });
    const socket = await peer(port);
    const ended = once(socket, "end");
    socket.end(Buffer.concat([PREFACE, settings(), get(1, 4), frame(0, 0, 1, Buffer.from("ab"))]));
    await ended;
    expect(errors).toMatchObject([{ reason: "malformed-body" }]);
    expect(reports).toEqual([]);
  });

  test("a connection that breaks aborts all its requests, once", async () => {
    const aborted: string[] = [];
    let begun = 0;
    const { port, server } = await serve(async (request) => {
      request.signal.addEventListener("abort", () => aborted.push(request.path));
      begun += 1;
      return await never;
    });
    const socket = await peer(port);
    socket.write(Buffer.concat([PREFACE, settings(), get(1), get(3), get(5)]));
    await expect.poll(() => begun).toBe(3);
    socket.resetAndDestroy();
    await expect.poll(() => aborted).toEqual(["/", "/", "/"]);
    expect(server.info().streams).toBe(0);
  });
});

test("telemetry: the same events as in HTTP/1, one for each stream; refusals and GOAWAY too", async () => {
  const events: unknown[][] = [];
  const names = ["start", "end", "refused"] as const;
  for (const name of names) {
    const listen = (event: unknown): void => {
      const { request, status, complete, bytesRead, bytesWritten } = event as Record<string, never>;
      const path = (request as unknown as mist.Request | undefined)?.path;
      events.push([name, path, status, complete, bytesRead, bytesWritten]);
    };
    channel(`mist:request:${name}`).subscribe(listen);
    onTestFinished(() => void channel(`mist:request:${name}`).unsubscribe(listen));
  }
  const { url, port } = await serve(
    async (request) => mist.text(`${(await mist.readBody(request, { maxBodyLimit: 10 })).length}`),
    (builder) => builder.withLimits({ maxTarget: 50 }),
  );
  const client = await session(url);
  await ask(client, "/a", { body: "abc" });
  await ask(client, `/${"x".repeat(60)}`);
  const socket = await peer(port);
  const ended = once(socket, "end");
  socket.write(Buffer.concat([PREFACE, settings(), frame(6, 0, 1, Buffer.alloc(8))]));
  await ended;
  expect(events).toEqual([
    ["start", "/a", undefined, undefined, undefined, undefined],
    ["end", "/a", 200, true, 3, 1],
    ["refused", undefined, 414, undefined, undefined, undefined],
    ["refused", undefined, undefined, undefined, undefined, undefined],
  ]);
});

/** Resolves when `count` no longer changes. */
async function answeredStill(count: () => number): Promise<void> {
  for (let still = 0, last = -1; still < 20; still++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (count() !== last) still = 0;
    last = count();
  }
}
