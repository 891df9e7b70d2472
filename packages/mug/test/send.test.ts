import { once } from "node:events";
import type { Socket as NetSocket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { serve, type TestServer } from "./servers.ts";

let server: TestServer;
let socket: mug.Socket;
let peer: NetSocket;

beforeEach(async () => {
  server = await serve();
  socket = await mug.connect({ host: "127.0.0.1", port: server.port });
  peer = await server.next();
});

afterEach(async () => {
  await socket.close({ timeout: 0 });
  await server[Symbol.asyncDispose]();
});

/** More than the kernel's buffers on both sides hold while nobody reads. */
const FLOOD = Buffer.alloc(32 * 1024 * 1024, "x");

test.each([
  ["a string", "grüße", "grüße"],
  ["bytes", Buffer.from("bytes"), "bytes"],
  ["a Uint8Array", Uint8Array.of(0x61, 0x62), "ab"],
  ["an array", ["a", Buffer.from("b"), Uint8Array.of(0x63), "", "ü"], "abcü"],
] as const)("send takes %s", async (_name, data, expected) => {
  await socket.send(data);
  const [received] = await once(peer, "data");
  expect(String(received)).toBe(expected);
});

test("an array leaves as one write", async () => {
  const packets: string[] = [];
  peer.on("data", (data) => packets.push(String(data)));
  await socket.send(["GET / HTTP/1.1\r\n", "host: x\r\n", "\r\n", Buffer.from("body")]);
  await socket.halfClose();
  await once(peer, "end");
  expect(packets).toEqual(["GET / HTTP/1.1\r\nhost: x\r\n\r\nbody"]);
});

test("nothing to send is sent at once", async () => {
  await socket.send("");
  await socket.send([]);
  await socket.send(new Uint8Array(0));
  await socket.send("x");
  const [received] = await once(peer, "data");
  expect(String(received)).toBe("x");
});

test.each([[undefined], [null], [5], [{}], [["a", 5]], [[["a"]]]])("send refuses %j", (data) => {
  expect(() => socket.send(data as unknown as string)).toThrow(mug.UsageError);
});

describe("against a peer that does not read", () => {
  test("send waits, and goes on when the peer reads", async () => {
    peer.pause();
    let sent = false;
    const sending = socket.send(FLOOD).then(() => {
      sent = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBe(false);
    expect(socket.bufferedAmount).toBeGreaterThan(0);
    peer.resume();
    await sending;
    await socket.flush();
    expect(socket.bufferedAmount).toBe(0);
  });

  test("a timeout or a signal ends the waiting, not the sending", async () => {
    peer.pause();
    await expect(socket.send(FLOOD, { timeout: 10 })).rejects.toMatchObject({
      code: "timeout",
      deadline: "send",
    });
    const controller = new AbortController();
    const sending = socket.send("tail", { signal: controller.signal });
    const flushing = socket.flush({ signal: controller.signal });
    controller.abort();
    await expect(sending).rejects.toMatchObject({ code: "aborted" });
    await expect(flushing).rejects.toMatchObject({ code: "aborted" });
    await expect(socket.flush({ timeout: 5 })).rejects.toMatchObject({ code: "timeout", deadline: "flush" });

    let received = 0;
    let last = "";
    peer.on("data", (data) => {
      received += data.length;
      last = data.toString("latin1").slice(-4);
    });
    peer.resume();
    await socket.halfClose();
    await once(peer, "end");
    expect(received).toBe(FLOOD.length + 4);
    expect(last).toBe("tail");
  });

  test("a signal that has already fired sends nothing", async () => {
    await expect(socket.send("never", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(socket.bytesWritten).toBe(0);
  });

  test("all that wait hear of the peer's reset", async () => {
    peer.pause();
    const waiting = [socket.send(FLOOD), socket.send("more", { timeout: 5000 }), socket.flush()];
    const results = Promise.allSettled(waiting);
    peer.resetAndDestroy();
    for (const result of await results) {
      expect(result.status).toBe("rejected");
      expect((result as PromiseRejectedResult).reason.code).toMatch(/^(econnreset|epipe|closed)$/);
    }
    await expect(socket.send("x")).rejects.toBeInstanceOf(mug.MugError);
  });
});

describe("a send that still waits when this side ends", () => {
  /** More than goes into the kernel at once, so that a send waits until the peer reads. */
  const received = (stream: NetSocket): Promise<number> => {
    let bytes = 0;
    stream.on("data", (data) => {
      bytes += data.length;
    });
    return once(stream, "end").then(() => bytes);
  };

  test.each<[string, (own: mug.Socket) => Promise<void>]>([
    ["halfClose", (own) => own.halfClose()],
    ["shutdown", (own) => own.shutdown()],
    ["close", (own) => own.close()],
    [
      "await using",
      async (own) => {
        await using _own = own;
      },
    ],
  ])("resolves: %s flushes first", async (_name, end) => {
    peer.pause();
    const sends = [socket.send(FLOOD), socket.send(["more"], { timeout: 10_000 }), socket.flush()];
    const ending = end(socket);
    const bytes = received(peer);
    peer.resume();
    await Promise.all(sends);
    await ending;
    expect(await bytes).toBe(FLOOD.length + 4);
  });

  test("resolves although the peer resets behind the last byte", async () => {
    peer.pause();
    const sending = socket.send(FLOOD);
    void socket.halfClose();
    let bytes = 0;
    peer.on("data", (data) => {
      bytes += data.length;
    });
    peer.on("end", () => peer.resetAndDestroy());
    peer.resume();
    await sending;
    await socket.closed;
    expect(bytes).toBe(FLOOD.length);
  });

  test.each<[string, (own: mug.Socket, stream: NetSocket) => unknown]>([
    ["close that may flush nothing", (own) => own.close({ timeout: 0 })],
    ["close that runs out of time", (own) => own.close({ timeout: 20 })],
    ["reset", (own) => own.reset()],
    ["halfClose and the peer's reset", (own, stream) => [own.halfClose(), stream.resetAndDestroy()]],
    ["shutdown and a reset", (own) => [own.shutdown(), own.reset()]],
  ])("rejects when its bytes were dropped: %s", async (_name, end) => {
    peer.pause();
    const sends = [socket.send(FLOOD), socket.send("more", { timeout: 10_000 }), socket.flush()];
    end(socket, peer);
    for (const send of sends) {
      await expect(send).rejects.toMatchObject({
        code: expect.stringMatching(/^(closed|econnreset|epipe)$/),
      });
    }
    await socket.closed;
  });

  test("flush keeps its timeout behind a half-close", async () => {
    peer.pause();
    void socket.send(FLOOD);
    void socket.halfClose();
    await expect(socket.flush({ timeout: 10 })).rejects.toMatchObject({ code: "timeout" });
  });
});

describe("a peer that floods", () => {
  test("is held back by its window: nobody receives, memory stays bounded, nothing is lost", async () => {
    peer.write(FLOOD);
    peer.end();
    // The peer is stuck once several turns bring nothing more.
    let before = -1;
    while (before !== socket.bytesRead) {
      before = socket.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(socket.bytesRead).toBeLessThan(1024 * 1024);
    expect(socket.bytesAvailable).toBeLessThanOrEqual(2 * 64 * 1024);
    expect(peer.writableLength).toBeGreaterThan(0);

    let received = 0;
    for await (const packet of socket) {
      expect(packet.length).toBeLessThanOrEqual(3 * 64 * 1024);
      received += packet.length;
    }
    expect(received).toBe(FLOOD.length);
  });

  test("reads on for a receive that needs more than is held", async () => {
    peer.write(FLOOD);
    await expect(socket.receive({ timeout: 1000 })).resolves.toBeInstanceOf(Buffer);
    const large = await socket.receiveExact(16 * 1024 * 1024, { timeout: 10_000 });
    expect(large).toHaveLength(16 * 1024 * 1024);
  });

  test("in active mode it is held back as well", async () => {
    peer.write(FLOOD);
    socket.receiveNextPacketAsMessage();
    await new Promise((resolve) => socket.subscribe(resolve));
    let before = -1;
    while (before !== socket.bytesRead) {
      before = socket.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(socket.bytesRead).toBeLessThan(1024 * 1024);
  });
});
