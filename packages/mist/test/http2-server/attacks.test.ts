// What one HTTP/2 client may do to the server: stall, flood, leave. Other connections do not notice.

import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import * as net from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

function frame(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

const settings = (...pairs: readonly (readonly [id: number, value: number])[]): Buffer => {
  const payload = Buffer.alloc(pairs.length * 6);
  pairs.forEach(([id, value], at) => {
    payload.writeUInt16BE(id, at * 6);
    payload.writeUInt32BE(value, at * 6 + 2);
  });
  return frame(4, 0, 0, payload);
};

/** GET / with `:authority: a`, END_STREAM unless `flags` says otherwise. */
const get = (id: number, flags = 5): Buffer =>
  frame(1, flags, id, Buffer.from([0x82, 0x86, 0x84, 0x41, 0x01, 0x61]));

const literal = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);

/** The handshake of a WebSocket (RFC 8441). */
const connect = (id: number, flags = 4): Buffer => {
  const fields = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/ws" };
  const all = { ...fields, ":authority": "a", "sec-websocket-version": "13" };
  const lines = Object.entries(all).map(([name, value]) =>
    Buffer.concat([Buffer.of(0), literal(name), literal(value)]),
  );
  return frame(1, flags, id, Buffer.concat(lines));
};

/** A client that says what it likes, and reads when it is told to. */
async function peer(port: number): Promise<net.Socket & { frames(): Buffer }> {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  let got = Buffer.alloc(0);
  socket.on("data", (piece) => {
    got = Buffer.concat([got, piece]);
  });
  return Object.assign(socket, { frames: () => got });
}

interface SeenFrame {
  readonly type: number;
  readonly id: number;
  readonly payload: Buffer;
}

function* framesOf(bytes: Buffer): Generator<SeenFrame> {
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = bytes.readUIntBE(at, 3);
    yield {
      type: bytes[at + 3] as number,
      id: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    };
    at += 9 + length;
  }
}

const goaways = (bytes: Buffer): number[] =>
  [...framesOf(bytes)].filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(4));

const never = new Promise<never>(() => {});

describe("floods end with GOAWAY, ENHANCE_YOUR_CALM", () => {
  test.each<[string, (n: number) => Buffer]>([
    [
      "rapid reset",
      (n) => Buffer.concat([get(n * 2 + 1), frame(3, 0, n * 2 + 1, Buffer.from([0, 0, 0, 8]))]),
    ],
    ["MadeYouReset", (n) => Buffer.concat([get(n * 2 + 1), frame(8, 0, n * 2 + 1, Buffer.alloc(4))])],
    [
      "rapid reset of WebSockets",
      (n) => Buffer.concat([connect(n * 2 + 1), frame(3, 0, n * 2 + 1, Buffer.from([0, 0, 0, 8]))]),
    ],
    [
      "WebSockets that are sent more than they have room for",
      (n) => Buffer.concat([connect(n * 2 + 1), frame(8, 0, n * 2 + 1, Buffer.from([0x7f, 255, 255, 255]))]),
    ],
    ["PING", () => frame(6, 0, 0, Buffer.alloc(8))],
    ["SETTINGS", () => settings([3, 1])],
  ])("%s", async (_, attack) => {
    let aborted = 0;
    const { port, server, url } = await serve(async (request) => {
      if (request.path === "/other") return mist.text("ok");
      if (request.path === "/ws") return mist.websocket({ request, onInit: () => 0, handler: () => {} });
      request.signal.addEventListener("abort", () => aborted++);
      return await never;
    });
    const other = await session(url);
    const socket = await peer(port);
    const closed = once(socket, "close");
    socket.write(Buffer.concat([preface, settings()]));
    const burst = Buffer.concat(Array.from({ length: 30_000 }, (_unused, n) => attack(n)));
    socket.write(burst);
    await closed;
    expect(goaways(socket.frames())).toEqual([0xb]);
    await expect.poll(() => server.info().streams).toBe(0);
    expect((await ask(other, "/other")).status).toBe(200);
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
    socket.write(Buffer.concat([preface, settings()]));
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
    socket.write(Buffer.concat([preface, settings([4, 0]), get(1)]));
    await over;
    await expect
      .poll(() => [...framesOf(socket.frames())].some(({ type, id }) => type === 3 && id === 1))
      .toBe(true);
    expect(socket.destroyed).toBe(false);
  });
  let released = () => {};

  test("a client that takes a large response slowly gets all of it", async () => {
    const { url } = await serve(() =>
      mist.response(200).setBody(mist.chunked(Array.from({ length: 64 }, () => Buffer.alloc(16_384, "x")))),
    );
    const client = await session(url, { settings: { initialWindowSize: 1000 } });
    const stream = client.request({ ":path": "/" });
    expect((await answerOf(stream)).body.length).toBe(64 * 16_384);
  });
});

describe("a client that is slow to speak", () => {
  test.each<[string, Buffer, string]>([
    ["half a preface", preface.subarray(0, 10), "headMs"],
    ["half a frame", Buffer.concat([preface, settings(), get(1).subarray(0, 12)]), "headMs"],
    ["half a head", Buffer.concat([preface, settings(), get(1, 1)]), "headMs"],
    ["no acknowledgement", Buffer.concat([preface, settings()]), "settingsAckMs"],
    [
      "nothing behind its answer",
      Buffer.concat([preface, settings(), frame(4, 1, 0), get(1)]),
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
    socket.end(Buffer.concat([preface, settings(), get(1), get(3)]));
    await ended;
    const data = [...framesOf(socket.frames())].filter(({ type }) => type === 0);
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
    socket.end(Buffer.concat([preface, settings(), get(1, 4), frame(0, 0, 1, Buffer.from("ab"))]));
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
    socket.write(Buffer.concat([preface, settings(), get(1), get(3), get(5)]));
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
  socket.write(Buffer.concat([preface, settings(), frame(6, 0, 1, Buffer.alloc(8))]));
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
