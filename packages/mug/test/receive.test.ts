import { getEventListeners } from "node:events";
import type { Socket as NetSocket } from "node:net";
import fc from "fast-check";
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
  await socket.close();
  await server[Symbol.asyncDispose]();
});

const SOON = { timeout: 2000 };

/** Every receive, asking for something that "abc" does not satisfy. */
const receives: [string, (options?: mug.WaitOptions) => Promise<unknown>][] = [
  ["receiveExact", (options) => socket.receiveExact(10, options)],
  ["receiveUntil", (options) => socket.receiveUntil("\r\n", options)],
  ["receiveLine", (options) => socket.receiveLine(options)],
  ["receiveToEnd", (options) => socket.receiveToEnd(options)],
];

/** Waits until so many bytes have arrived and are held. */
async function held(bytes: number): Promise<void> {
  while (socket.bytesAvailable < bytes) await new Promise((resolve) => setImmediate(resolve));
}

describe("answers", () => {
  test("receive gives the packet that comes, or everything that has come", async () => {
    const pending = socket.receive(SOON);
    peer.write("one");
    expect(String(await pending)).toBe("one");
    peer.write("two");
    await held(3);
    peer.write("three");
    await held(8);
    expect(String(await socket.receive())).toBe("twothree");
  });

  test("receiveExact over packet borders, and nothing at all for 0", async () => {
    expect(await socket.receiveExact(0)).toHaveLength(0);
    const pending = socket.receiveExact(5, SOON);
    peer.write("ab");
    peer.write("cdefg");
    expect(String(await pending)).toBe("abcde");
    expect(String(await socket.receive(SOON))).toBe("fg");
  });

  test.each([
    ["a string", "\r\n\r\n"],
    ["bytes", Buffer.from("\r\n\r\n")],
  ])("receiveUntil with %s, over packet borders", async (_name, delimiter) => {
    const pending = socket.receiveUntil(delimiter, SOON);
    peer.write("head\r\n\r");
    await new Promise((resolve) => setImmediate(resolve));
    peer.write("\nbody");
    expect(String(await pending)).toBe("head\r\n\r\n");
    expect(String(await socket.receive(SOON))).toBe("body");
  });

  test("the caller may change the delimiter's bytes while the call waits", async () => {
    const delimiter = Buffer.from("\n");
    const pending = socket.receiveUntil(delimiter, SOON);
    delimiter[0] = 0x58;
    peer.write("aXb\n");
    expect(String(await pending)).toBe("aXb\n");
  });

  test("receiveLine takes LF and CR LF, and keeps every other CR", async () => {
    peer.write("one\ntwo\r\n\r\nth\rree\r\r\nünf\n");
    const lines: string[] = [];
    for (let count = 0; count < 5; count++) lines.push(await socket.receiveLine(SOON));
    expect(lines).toEqual(["one", "two", "", "th\rree\r", "ünf"]);
  });

  test("receiveToEnd", async () => {
    peer.write("all ");
    await held(4);
    const pending = socket.receiveToEnd(SOON);
    peer.end("of it");
    expect(String(await pending)).toBe("all of it");
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
    expect(await socket.receiveToEnd()).toHaveLength(0);
  });

  test("async iteration gives packets until the FIN; leaving early leaves the socket open", async () => {
    peer.write("one");
    for await (const packet of socket) {
      expect(String(packet)).toBe("one");
      break;
    }
    peer.end("two");
    let rest = "";
    for await (const packet of socket) rest += packet;
    expect(rest).toBe("two");
  });

  test("async iteration throws what is no orderly end", async () => {
    peer.resetAndDestroy();
    await expect(
      (async () => {
        for await (const _packet of socket);
      })(),
    ).rejects.toMatchObject({ code: "econnreset" });
  });

  test("unreceive puts bytes back in front", async () => {
    peer.write("world");
    await held(5);
    socket.unreceive(Buffer.from("hello "));
    expect(String(await socket.receiveExact(11))).toBe("hello world");
  });
});

describe("failures lose nothing", () => {
  test.each(receives)("%s: timeout", async (name, receive) => {
    peer.write("abc");
    await held(3);
    const error = await receive({ timeout: 20 }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(mug.DeadlineError);
    expect(error).toMatchObject({ code: "timeout", deadline: name, timeoutMs: 20 });
    expect(String(await socket.receive())).toBe("abc");
  });

  test.each(receives)("%s: signal", async (_name, receive) => {
    peer.write("abc");
    await held(3);
    const controller = new AbortController();
    const pending = receive({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(pending).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
    await expect(receive({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted" });
    expect(String(await socket.receive())).toBe("abc");
  });

  test.each(receives.slice(0, 3))("%s: the peer's FIN comes first", async (_name, receive) => {
    const pending = receive(SOON);
    peer.end("abc");
    await expect(pending).rejects.toMatchObject({ code: "closed" });
    expect(String(await socket.receive())).toBe("abc");
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  test("what came before a reset can be received; then it is econnreset", async () => {
    peer.write("abc");
    await held(3);
    peer.resetAndDestroy();
    await socket.closed;
    await expect(socket.receiveToEnd()).rejects.toMatchObject({ code: "econnreset" });
    expect(String(await socket.receive())).toBe("abc");
    await expect(socket.receive()).rejects.toMatchObject({ code: "econnreset" });
    await expect(socket.send("x")).rejects.toMatchObject({ code: "econnreset" });
  });

  test.each([
    ["receiveUntil", () => socket.receiveUntil("\n", { max: 5, ...SOON })],
    ["receiveLine", () => socket.receiveLine({ max: 5, ...SOON })],
    ["receiveToEnd", () => socket.receiveToEnd({ max: 5, ...SOON })],
  ])("%s: more than max is emsgsize", async (_name, receive) => {
    const pending = receive();
    peer.end("abcdef\n");
    await expect(pending).rejects.toMatchObject({ code: "emsgsize" });
    expect(String(await socket.receiveToEnd())).toBe("abcdef\n");
  });

  test("max counts the delimiter", async () => {
    peer.write("abc\nabcd\n");
    expect(String(await socket.receiveUntil("\n", { max: 4, ...SOON }))).toBe("abc\n");
    await expect(socket.receiveUntil("\n", { max: 4, ...SOON })).rejects.toMatchObject({ code: "emsgsize" });
  });
});

describe("waiting", () => {
  test("a second receive while one waits is ealready, and the first is not disturbed", async () => {
    const first = socket.receive(SOON);
    await expect(socket.receive()).rejects.toMatchObject({ code: "ealready" });
    peer.write("one");
    expect(String(await first)).toBe("one");
  });

  test("timeout 0 takes what the kernel holds", async () => {
    peer.write("there");
    await new Promise<void>((resolve) => peer.write("", () => resolve()));
    expect(String(await socket.receive({ timeout: 0 }))).toBe("there");
    await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
  });

  test("a long timeout after a short one, and a short one after a long one", async () => {
    await expect(socket.receive({ timeout: 5 })).rejects.toMatchObject({ code: "timeout" });
    const answered = socket.receive({ timeout: 60_000 });
    peer.write("x");
    await answered;
    await expect(socket.receive({ timeout: 5 })).rejects.toMatchObject({ timeoutMs: 5 });
    const again = socket.receive({ timeout: 60_000 });
    setTimeout(() => peer.write("y"), 20);
    expect(String(await again)).toBe("y");
  });

  test("a timeout that was not needed does not end the next receive", async () => {
    const first = socket.receive({ timeout: 15 });
    peer.write("x");
    await first;
    const second = socket.receive();
    setTimeout(() => peer.write("y"), 40);
    expect(String(await second)).toBe("y");
  });

  test("a busy process does not time out on what had arrived in time", async () => {
    const pending = socket.receive({ timeout: 10 });
    peer.write("in time");
    await new Promise<void>((resolve) => peer.write("", () => resolve()));
    const until = performance.now() + 40;
    while (performance.now() < until);
    expect(String(await pending)).toBe("in time");
  });

  test("a signal that serves many receives keeps no listener of theirs", async () => {
    const { signal } = new AbortController();
    for (let count = 0; count < 20; count++) {
      const answered = socket.receive({ signal });
      peer.write("x");
      await answered;
      await expect(socket.receive({ signal, timeout: 1 })).rejects.toMatchObject({ code: "timeout" });
      await socket.send("x", { signal });
    }
    await using _other = await mug.connect({ host: "127.0.0.1", port: server.port, signal });
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("a signal that fires after the answer changes nothing", async () => {
    const controller = new AbortController();
    const pending = socket.receive({ signal: controller.signal });
    peer.write("x");
    await pending;
    controller.abort();
    const next = socket.receive(SOON);
    peer.write("y");
    expect(String(await next)).toBe("y");
  });
});

test("any messages through an echo, cut anyhow, come back as they were", async () => {
  await using echo = await serveEcho();
  await using own = await mug.connect({ host: "127.0.0.1", port: echo.port });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 6 }),
      async (messages, sizes) => {
        const whole = Buffer.concat(messages);
        for (const message of messages) await own.send(message);
        const received: Buffer[] = [];
        let left = whole.length;
        for (const size of sizes) {
          if (size > left) continue;
          received.push(await own.receiveExact(size, SOON));
          left -= size;
        }
        received.push(await own.receiveExact(left, SOON));
        expect(Buffer.concat(received).equals(whole)).toBe(true);
      },
    ),
    { numRuns: 40 },
  );
});
