// Fetch handlers and frameworks over HTTP/2.

import { defineWebSocketHandler, H3 } from "h3";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { expect, test } from "vitest";
import { mistAdapter, withWebSockets } from "../../src/fetch/crossws/crossws.ts";
import { upgradeWebSocket } from "../../src/fetch/hono/hono.ts";
import { fromFetch } from "../../src/fetch/index.ts";
import { RawClient } from "../application/websocket-peer.ts";
import { connectStream } from "../application/websocket-stream-peer.ts";
import { expectAbortError } from "../server/abort-error.ts";
import { serve } from "../server/serve.ts";
import { close, text } from "../websocket/client-frames.ts";
import { answerOf, ask, session } from "./client.ts";

test("Hono and H3 answer", async () => {
  const hono = new Hono().post("/echo", async (c) =>
    c.text(`hono ${await c.req.text()}`, 201, { "x-a": "1" }),
  );
  const h3 = new H3().post("/echo", async (event) => `h3 ${await event.req.text()}`);
  for (const [name, handler] of [
    ["hono", fromFetch(hono.fetch)],
    ["h3", fromFetch((request) => h3.fetch(request))],
  ] as const) {
    const { url } = await serve(handler);
    const answer = await ask(await session(url), "/echo", { body: "hello" });
    expect(answer.body.toString()).toBe(`${name} hello`);
    expect(answer.status).toBe(name === "hono" ? 201 : 200);
  }
});

const echoing = new Hono().post("/", (c) => c.body(c.req.raw.body as ReadableStream));

test.each([
  ["a body passed on", fromFetch((request) => new Response(request.body))],
  ["Node's own Request", fromFetch((request) => new Response(request.body), { overrideGlobals: false })],
  ["Hono", fromFetch(echoing.fetch)],
])("full duplex: each piece is answered before the next is sent: %s", async (_, handler) => {
  const { url } = await serve(handler);
  const client = await session(url);
  const stream = client.request({ ":method": "POST", ":path": "/" });
  const heard: string[] = [];
  const answer = answerOf(stream);
  for (const piece of ["one", "two", "three"]) {
    const come = new Promise<void>((resolve) => {
      stream.once("data", (data: Buffer) => {
        heard.push(data.toString());
        resolve();
      });
    });
    stream.write(piece);
    await come;
  }
  stream.end();
  expect((await answer).body.toString()).toBe("onetwothree");
  expect(heard).toEqual(["one", "two", "three"]);
});

test("a reset aborts the request's signal", async () => {
  const aborted = new Promise<unknown>((resolve) => {
    told = resolve;
  });
  const { url } = await serve(
    fromFetch(async (request) => {
      request.signal.addEventListener("abort", () => told(request.signal.reason));
      return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
    }),
  );
  const client = await session(url);
  const stream = client.request({ ":path": "/" });
  stream.on("error", () => {});
  stream.once("response", () => stream.close(8));
  expectAbortError(await aborted);
});
let told: (reason: unknown) => void = () => {};

const hono = new Hono().use(cors({ origin: "https://app.test" })).get(
  "/ws",
  upgradeWebSocket(() => ({
    onMessage: (event, ws) => ws.send(`${ws.url?.pathname} ${ws.protocol} ${event.data}`),
  })),
);
const message = (peer: { send(data: string): unknown; websocket: { protocol?: string } }, text: string) =>
  void peer.send(`/ws ${peer.websocket.protocol} ${text}`);
const hooks = {
  upgrade: () => ({ headers: { "access-control-allow-origin": "https://app.test" }, protocol: "chat" }),
  message: (peer: never, got: { text(): string }) => message(peer, got.text()),
};
const h3 = new H3().get("/ws", defineWebSocketHandler(hooks as never));
const sockets = mistAdapter({ hooks: hooks as never });

test.each([
  ["Hono's", fromFetch(hono.fetch)],
  ["H3's", fromFetch(withWebSockets((request) => h3.fetch(request)))],
  ["of a crossws adapter", fromFetch((request) => sockets.handleUpgrade(request))],
])("WebSockets %s, on the routes they have in HTTP/1.1", async (_, handler) => {
  const { url } = await serve(handler);
  const offered = { "sec-websocket-protocol": "chat", origin: "https://app.test" };
  const { socket, head } = await connectStream(url, offered, Buffer.alloc(0), "/ws");
  expect(head).toMatch(/^:status: 200\r\n/);
  expect(head).toContain("access-control-allow-origin: https://app.test\r\n");
  expect(head).toContain("sec-websocket-protocol: chat\r\n");
  const client = new RawClient(socket, head);
  await client.send(text("hello"));
  expect(await client.text()).toBe("/ws chat hello");
  await client.send(close(4000));
  expect(await client.close()).toBe(4000);
});
