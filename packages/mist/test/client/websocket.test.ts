// `server.websocket`: the client's end of a WebSocket in a test.

import { Buffer } from "node:buffer";
import { expect, it, onTestFinished } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";

type Options = Partial<mist.WebSocketOptions<unknown, never>>;

/** A server whose every path is an echo, but for what `options` say. */
async function echoes(
  options: Options = {},
  configure: (builder: mist.Builder) => mist.Builder = (builder) => builder,
): Promise<mist.Server> {
  const builder = mist.new((request) => {
    if (request.path === "/none") return mist.text("no socket here", { status: 404 });
    return mist.websocket({
      request,
      onInit: () => undefined,
      handler(_state, message, websocket) {
        if (message.type === "text") websocket.sendText(message.data);
        else if (message.type === "binary") websocket.sendBinary(message.data);
      },
      ...options,
    });
  });
  const server = await mist.test(configure(builder.onError(() => {})));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

it("sends and receives text and bytes of every size", async () => {
  const server = await echoes();
  await using socket = await server.websocket("/echo");
  for (const length of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
    const text = "ü".repeat(length >> 1);
    await socket.send(text);
    expect(await socket.receive()).toBe(text);
    const bytes = Buffer.alloc(length, 7);
    await socket.send(bytes);
    expect(bytes.equals((await socket.receive()) as Buffer)).toBe(true);
  }
});

it("carries frames through buffers of a few bytes, and over TLS", async () => {
  const { cert, key } = await certificate();
  for (const configure of [(b: mist.Builder) => b, (b: mist.Builder) => b.withTls({ cert, key })]) {
    const server = await echoes({}, configure);
    await using socket = await server.websocket("/", { connection: { highWaterMark: 3 } });
    await socket.send("x".repeat(7_000));
    expect(await socket.receive()).toBe("x".repeat(7_000));
  }
});

it("offers subprotocols and fields", async () => {
  let seen: string | undefined;
  const server = await echoes({
    subprotocols: ["b", "c"],
    checkOrigin: (origin: string | undefined) => {
      seen = origin;
      return true;
    },
  });
  await using socket = await server.websocket("ws://chat.example/room", {
    protocols: ["a", "b"],
    headers: { origin: "https://chat.example" },
  });
  expect(socket.protocol).toBe("b");
  expect(socket.headers.get("upgrade")).toBe("websocket");
  expect(seen).toBe("https://chat.example");
});

it("a refused handshake has the response as its cause", async () => {
  const server = await echoes();
  const failure: unknown = await server.websocket("/none").catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TypeError);
  const response = (failure as TypeError).cause as Response;
  expect([response.status, await response.text()]).toEqual([404, "no socket here"]);
});

it.each<[mist.WebSocketClientOptions, string]>([
  [{ protocol: "a" } as never, 'websocket has no option "protocol"'],
  [{ headers: { "x y": "z" } }, "a field name must be a token"],
])("refuses %o", async (options, message) => {
  const server = await echoes();
  await expect(server.websocket("/", options)).rejects.toThrow(message);
});

it("ends with the server's code and reason, after every message", async () => {
  const server = await echoes({
    handler(_state, message, websocket) {
      if (message.type !== "text") return;
      websocket.sendText("one");
      websocket.sendText("two");
      websocket.close(4001, "enough");
    },
  } as Options);
  const socket = await server.websocket("/");
  await socket.send("go");
  const messages: unknown[] = [];
  for await (const message of socket) messages.push(message);
  expect(messages).toEqual(["one", "two"]);
  expect(await socket.closed).toEqual({ code: 4001, reason: "enough" });
  expect(await socket.receive()).toBeUndefined();
  await expect(socket.send("late")).rejects.toThrow("the WebSocket is closed");
});

it("closes with a code of its own, which the server hears and answers", async () => {
  const reasons: unknown[] = [];
  const server = await echoes({ onClose: (_state, reason) => reasons.push(reason) });
  const socket = await server.websocket("/");
  expect(await socket.close(4002, "mine")).toEqual({ code: 4002, reason: "" });
  while (server.info().connections > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(reasons).toMatchObject([{ code: 4002 }]);
});

it("a connection that breaks is 1006 on both sides", async () => {
  const reasons: unknown[] = [];
  const server = await echoes({ onClose: (_state, reason) => reasons.push(reason) });
  const socket = await server.websocket("/");
  socket.abort();
  expect(await socket.closed).toEqual({ code: 1006, reason: "" });
  expect(await socket.receive()).toBeUndefined();
  while (server.info().connections > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(reasons).toHaveLength(1);
});

it("a handler that fails closes with 1011", async () => {
  const server = await echoes({
    handler() {
      throw new Error("mistake");
    },
  } as Options);
  const socket = await server.websocket("/");
  await socket.send("go");
  expect(await socket.closed).toMatchObject({ code: 1011 });
});

it("a server that stops closes with 1001", async () => {
  const server = await echoes();
  const socket = await server.websocket("/");
  const report = await server.stop(5000);
  expect(await socket.closed).toMatchObject({ code: 1001 });
  expect(report.killed).toBe(0);
});

it("await using of the server is done at once with sockets open", async () => {
  const began = performance.now();
  let socket: mist.WebSocketClient;
  {
    await using server = await mist.test((request) =>
      mist.websocket({ request, onInit: () => undefined, handler() {} }),
    );
    socket = await server.websocket("/");
  }
  expect(await socket.closed).toEqual({ code: 1006, reason: "" });
  expect(performance.now() - began).toBeLessThan(1500);
});

it("answers the server's pings, and sends its own", async () => {
  const server = await echoes({ pingIntervalMs: 50 });
  const socket = await server.websocket("/");
  const { bytesRead } = server.info();
  // A pong without payload has 6 bytes.
  while (server.info().bytesRead < bytesRead + 12) await new Promise((resolve) => setTimeout(resolve, 10));
  await socket.ping("are you there?");
  await socket.send("still open");
  expect(await socket.receive()).toBe("still open");
});

it("a client that takes no messages holds the server back, and gets all of them", async () => {
  const piece = "p".repeat(50_000);
  const server = await echoes({
    async handler(_state: unknown, _message: unknown, websocket: mist.WebSocket) {
      for (let turn = 0; turn < 100; turn += 1) await websocket.sendText(piece);
    },
  } as never);
  const socket = await server.websocket("/");
  await socket.send("go");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.info().bytesWritten).toBeLessThan(2_000_000);
  for (let turn = 0; turn < 100; turn += 1) expect(await socket.receive()).toBe(piece);
});
