// Clients that mean harm, or do it: each must cost itself and nobody else.

import { Buffer } from "node:buffer";
import { constants, deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { binary, clientFrame, close, more, ping, text } from "../websocket/client-frames.ts";
import { connected, deferred, echo, open } from "./websocket-peer.ts";

/** Memory outside the buffers of the client, which lives in this process too, cannot be told apart: a generous bound. */
const megabytes = (count: number): number => count * 1024 * 1024;

describe("a client that sends", () => {
  test("endless fragments is stopped at the message's limit", async () => {
    const { client } = await connected({ maxMessageBytes: 100_000 });
    await client.send(text("x".repeat(60_000), { fin: false }), more("x".repeat(40_001), { fin: false }));
    expect(await client.close()).toBe(1009);
  });

  test("empty fragments for ever is stopped at the limit on frames", async () => {
    const { client } = await connected({ maxFrames: 1000 });
    const empty = more("", { fin: false });
    await client.send(text("", { fin: false }), ...Array.from({ length: 1000 }, () => empty));
    expect(await client.close()).toBe(1009);
  });

  test("a gigabyte in a few kilobytes is stopped while it inflates", async () => {
    const served = await serve(echo({ compression: true }));
    const client = await open(served, { "Sec-WebSocket-Extensions": "permessage-deflate" });
    const block = deflateRawSync(Buffer.alloc(megabytes(16)), { finishFlush: constants.Z_SYNC_FLUSH });
    const before = process.memoryUsage().rss;
    await client.send(
      binary(Buffer.concat(Array.from({ length: 64 }, () => block)).subarray(0, -4), { rsv: 4 }),
    );
    expect(await client.close()).toBe(1009);
    expect(process.memoryUsage().rss - before).toBeLessThan(megabytes(300));
  });

  test("lengths of 2^62 and 2^63 is refused at the header, and nothing is allocated", async () => {
    for (const [length, code] of [
      [2n ** 62n, 1009],
      [2n ** 63n, 1002],
    ] as const) {
      const { client } = await connected();
      await client.send(clientFrame({ opcode: 2, length }));
      expect(await client.close()).toBe(code);
    }
  });

  test("a length and then nothing costs no memory", async () => {
    const { served } = await connected({ maxMessageBytes: megabytes(1024) });
    const before = process.memoryUsage();
    const clients = await Promise.all(Array.from({ length: 50 }, () => open(served)));
    for (const client of clients)
      await client.send(clientFrame({ opcode: 2, length: BigInt(megabytes(1024)) }));
    await clients.at(-1)!.socket.close();
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(megabytes(20));
  });

  test("pings without reading the pongs is not let pile them up", async () => {
    const websockets: mist.WebSocket[] = [];
    const { client } = await connected({ onInit: (websocket) => void websockets.push(websocket) });
    const flood = Buffer.concat(Array.from({ length: 1000 }, () => ping("x".repeat(125))));
    let stalled = false;
    for (let i = 0; i < 2000 && !stalled; i++) {
      const sent = client.socket.send(flood).then(
        () => false,
        () => true,
      );
      stalled = await Promise.race([sent, new Promise<boolean>((resolve) => setTimeout(resolve, 300, true))]);
    }
    expect(stalled).toBe(true);
    expect(websockets[0]!.bufferedAmount).toBeLessThan(megabytes(2));
    client.socket.reset();
  });

  test("messages without reading the echoes is not read any further", async () => {
    const websockets: mist.WebSocket[] = [];
    const { client } = await connected({ onInit: (websocket) => void websockets.push(websocket) });
    const flood = binary(Buffer.alloc(megabytes(1)));
    let stalled = false;
    for (let i = 0; i < 100 && !stalled; i++) {
      const sent = client.socket.send(flood).then(
        () => false,
        () => true,
      );
      stalled = await Promise.race([sent, new Promise<boolean>((resolve) => setTimeout(resolve, 300, true))]);
    }
    expect(stalled).toBe(true);
    expect(websockets[0]!.bufferedAmount).toBeLessThan(megabytes(4));
    client.socket.reset();
  });
});

describe("a client that reads nothing", () => {
  test("and is sent to without end is cut off at maxBufferedBytes: 1006", async () => {
    const closed = deferred<{ code: number }>();
    const { client } = await connected({
      maxBufferedBytes: megabytes(1),
      pingIntervalMs: 0,
      handler(_state, message, websocket) {
        if (message.type === "closed") closed.resolve(message);
        if (message.type !== "text") return;
        for (let i = 0; i < 1000 && websocket.open; i++) void websocket.sendBinary(Buffer.alloc(100_000));
      },
    });
    await client.send(text("go"));
    expect(await closed.promise).toMatchObject({ code: 1006 });
  });

  test("is waited for by a handler that awaits its sends", async () => {
    let sent = 0;
    const { client } = await connected({
      async handler(_state, message, websocket) {
        if (message.type !== "text") return;
        for (; sent < 1000; sent++) await websocket.sendBinary(Buffer.alloc(100_000));
      },
    });
    await client.send(text("go"));
    await client.frame();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const held = sent;
    expect(held).toBeLessThan(300);
    while (sent === held) await client.frame();
  });

  test("nor answers pings is lost, whatever is still to be sent to it", async () => {
    const closed = deferred<{ code: number }>();
    const { client } = await connected({
      pingIntervalMs: 100,
      pongTimeoutMs: 100,
      handler(_state, message, websocket) {
        if (message.type === "closed") closed.resolve(message);
        if (message.type === "text") void websocket.sendBinary(Buffer.alloc(megabytes(12)));
      },
    });
    await client.send(text("go"));
    expect(await closed.promise).toMatchObject({ code: 1006 });
  });

  test("user messages for it wait in its mailbox, under the policy chosen", async () => {
    let subject: mist.WebSocket<Buffer>["subject"] | undefined;
    const closed = deferred();
    const { served, client } = await connected<undefined, Buffer>({
      maxMailbox: 10,
      overflow: "stop",
      onInit: (websocket) => {
        subject = websocket.subject;
        return undefined;
      },
      handler: (_state, message, websocket) => {
        if (message.type === "user") void websocket.sendBinary(message.message);
      },
      onClose: () => closed.resolve(),
    });
    await client.send(ping());
    await client.frame();
    for (let i = 0; i < 1000; i++) subject!.send(Buffer.alloc(100_000));
    await closed.promise;
    expect(served.reports.length).toBe(1);
  });
});

test("a thousand clients gone without a Close leave nothing behind", async () => {
  let open_ = 0;
  const allGone = deferred();
  const served = await serve(
    echo({
      onInit: () => void open_++,
      onClose: () => {
        if (--open_ === 0) allGone.resolve();
      },
    }),
  );
  const clients = [];
  for (let i = 0; i < 10; i++) {
    clients.push(...(await Promise.all(Array.from({ length: 100 }, () => open(served)))));
  }
  expect(open_).toBe(1000);
  for (const [index, client] of clients.entries()) {
    if (index % 2 === 0) client.socket.reset();
    else void client.socket.close();
  }
  await allGone.promise;
  const survivor = await open(served);
  await survivor.send(text("still here"), close());
  expect(await survivor.text()).toBe("still here");
});

test("a half-open client is noticed by its silence", async () => {
  const closed = deferred<{ code: number }>();
  const { client } = await connected({
    pingIntervalMs: 150,
    pongTimeoutMs: 150,
    handler: (_state, message) => {
      if (message.type === "closed") closed.resolve(message);
    },
  });
  await client.send(text("last words"));
  expect(await closed.promise).toMatchObject({ code: 1006 });
});

describe("a client that reads nothing is cut off by the send deadline", () => {
  // More than the kernels on both sides hold.
  const flood = Buffer.alloc(megabytes(8));
  const repeat = (websocket: mist.WebSocket, send: () => unknown): void => {
    const timer = setInterval(() => (websocket.open ? send() : clearInterval(timer)), 20);
  };

  test.each<[string, (websocket: mist.WebSocket) => unknown]>([
    ["while a handler waits for its send", (websocket) => websocket.sendBinary(flood)],
    [
      "while it is pinged again and again",
      (websocket) => {
        void websocket.sendBinary(flood);
        repeat(websocket, () => websocket.ping());
      },
    ],
    [
      "while it is sent more and more",
      (websocket) => {
        void websocket.sendBinary(flood);
        repeat(websocket, () => websocket.sendText("more"));
      },
    ],
  ])("%s", async (_name, send) => {
    const closed = deferred<unknown>();
    const served = await serve(
      echo({
        pingIntervalMs: 0,
        handler: (_state, message, websocket) => {
          if (message.type === "text") return send(websocket) as Promise<void>;
          return undefined;
        },
        onClose: (_state, reason) => closed.resolve(reason),
      }),
      (builder) => builder.withDeadlines({ sendMs: 300 }),
    );
    const client = await open(served);
    await client.send(text("go"));
    expect(await closed.promise).toEqual({ code: 1006, reason: "the client takes nothing" });
    expect(served.reports).toEqual([]);
  });
});
