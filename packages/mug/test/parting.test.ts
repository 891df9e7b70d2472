import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket as NetSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { serve, serveEcho, type TestServer } from "./servers.ts";

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

/** How the peer sees us go. */
function partingSeenBy(stream: NetSocket): Promise<string> {
  stream.resume();
  return new Promise((resolve) => {
    stream.once("end", () => resolve("fin"));
    stream.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  });
}

describe("halfClose", () => {
  test("the peer sees FIN behind all bytes, and can still answer", async () => {
    let heard = "";
    peer.on("data", (data) => {
      heard += data;
    });
    peer.on("end", () => peer.end(`heard ${heard}`));
    await socket.send("hello");
    await socket.halfClose();
    expect(String(await socket.receiveToEnd({ timeout: 2000 }))).toBe("heard hello");
    await socket.closed;
  });

  test("sending afterwards is closed; half-closing again is not wrong", async () => {
    await socket.halfClose();
    await expect(socket.send("x")).rejects.toMatchObject({ code: "closed" });
    await socket.halfClose();
  });
});

describe("shutdown", () => {
  test("flushes, ends both directions, and is gone when the peer ends too", async () => {
    const seen = partingSeenBy(peer);
    await socket.send("last words");
    await socket.shutdown();
    expect(await seen).toBe("fin");
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
    peer.end();
    await socket.closed;
    await socket.shutdown();
  });

  test("ends a receive that waits", async () => {
    const pending = socket.receive();
    const parting = socket.shutdown();
    await expect(pending).rejects.toMatchObject({ code: "closed" });
    await parting;
  });

  test("what the peer was still sending does not turn into a reset", async () => {
    const seen: string[] = [];
    peer.on("error", (error: NodeJS.ErrnoException) => seen.push(error.code ?? ""));
    peer.on("end", () => {
      peer.write(Buffer.alloc(300_000));
      peer.end(() => seen.push("all sent"));
    });
    peer.resume();
    await socket.shutdown();
    await socket.closed;
    expect(seen).toEqual(["all sent"]);
  });

  test("a peer that never ends is left after a second", async () => {
    peer.resume();
    await socket.shutdown();
    await socket.closed;
    expect(peer.writableEnded).toBe(false);
  });
});

describe("close", () => {
  test("flushes, sends FIN, and does not wait for the peer", async () => {
    const seen = partingSeenBy(peer);
    await socket.send("bye");
    await socket.close();
    expect(await seen).toBe("fin");
    await socket.close();
    await expect(socket.send("x")).rejects.toMatchObject({ code: "closed" });
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  test("a peer that does not read cannot hold it longer than its timeout", async () => {
    peer.pause();
    void socket.send(Buffer.alloc(32 * 1024 * 1024)).catch(() => {});
    await socket.close({ timeout: 20 });
    await socket.closed;
  });

  test("await using closes", async () => {
    let inner: mug.Socket;
    {
      await using own = await mug.connect({ host: "127.0.0.1", port: server.port });
      inner = own;
      const stream = await server.next();
      stream.resume();
    }
    await inner.closed;
    await expect(inner.receive()).rejects.toMatchObject({ code: "closed" });
  });
});

describe("when the connection is gone already", () => {
  test("every way to end it settles", async () => {
    peer.resetAndDestroy();
    await socket.closed;
    await expect(socket.halfClose()).rejects.toBeInstanceOf(mug.MugError);
    await socket.shutdown();
    await socket.close();
    await socket.reset();
  });

  test("close drops what was not received", async () => {
    peer.end("unread");
    await socket.halfClose();
    await socket.closed;
    expect(socket.bytesAvailable).toBe(6);
    await socket.close();
    expect(socket.bytesAvailable).toBe(0);
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });
});

describe("reset", () => {
  test("the peer sees a true RST, at once", async () => {
    const seen = partingSeenBy(peer);
    await socket.reset();
    expect(await seen).toBe("ECONNRESET");
    await expect(socket.send("x")).rejects.toMatchObject({ code: "closed" });
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
    await socket.reset();
  });

  test("drops what waits to be sent", async () => {
    peer.pause();
    const sending = socket.send(Buffer.alloc(32 * 1024 * 1024));
    const outcome = expect(sending).rejects.toMatchObject({ code: "closed" });
    await socket.reset();
    await outcome;
  });

  test("right behind a half-close", async () => {
    peer.resume();
    void socket.halfClose();
    await socket.reset();
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  test("when a FIN waits behind bytes that the peer does not take, the socket still goes", async () => {
    peer.pause();
    socket.send(Buffer.alloc(32 * 1024 * 1024)).catch(() => {});
    socket.halfClose().catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    await socket.reset();
  });

  test("a unix socket is closed abruptly", async () => {
    const directory = mkdtempSync(join(tmpdir(), "mug-reset-"));
    try {
      await using own = await serveEcho({ path: join(directory, "socket") });
      const client = await mug.unix(join(directory, "socket")).connect();
      const stream = await own.next();
      const gone = once(stream, "close");
      await client.reset();
      stream.destroy();
      await gone;
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

test("the tap hears bytes and events of both sides", async () => {
  const heard: string[] = [];
  const own = await mug.connect({
    host: "127.0.0.1",
    port: server.port,
    tap: {
      sent: (bytes) => heard.push(`sent ${bytes}`),
      received: (bytes) => heard.push(`received ${Buffer.from(bytes)}`),
      event: (event) => heard.push(event),
    },
  });
  const stream = await server.next();
  await own.send(["a", "b"]);
  stream.end("answer");
  await own.receiveToEnd({ timeout: 2000 });
  await own.halfClose();
  await own.closed;
  expect(heard).toEqual(["sent a", "sent b", "received answer", "end", "half-close", "closed"]);
});
