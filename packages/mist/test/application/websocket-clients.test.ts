// WebSockets with other people's clients: ws, and the WebSocket of undici (which browsers' is modelled on), over TCP
// and TLS, with and without compression.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { WebSocket as UndiciWebSocket } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";
import { echo, type Options } from "./websocket-peer.ts";

const json = JSON.stringify(Array.from({ length: 100 }, (_, id) => ({ id, name: `n°${id}` })));
const payloads = [
  "",
  "a",
  "grün",
  "🌍".repeat(30),
  json,
  "x".repeat(70_000),
  "é".repeat(40_000),
  Buffer.alloc(0),
  randomBytes(1),
  randomBytes(1024),
  randomBytes(65_536),
  Buffer.alloc(300_000, 7),
];

interface Client {
  /** Sends all at once, gives what comes back. */
  exchange(messages: readonly (string | Buffer)[]): Promise<(string | Buffer)[]>;
  /** Closes; the code the server closed with. */
  close(code: number): Promise<number>;
  readonly extensions: string;
}

async function withWs(url: string, perMessageDeflate: boolean | object): Promise<Client> {
  const socket = new WebSocket(url, { perMessageDeflate, rejectUnauthorized: false });
  onTestFinished(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return {
    extensions: socket.extensions,
    exchange: (messages) =>
      new Promise((resolve) => {
        const got: (string | Buffer)[] = [];
        socket.removeAllListeners("message");
        socket.on("message", (data: Buffer, isBinary) => {
          got.push(isBinary ? data : data.toString());
          if (got.length === messages.length) resolve(got);
        });
        for (const message of messages) socket.send(message);
      }),
    close: (code) =>
      new Promise((resolve) => {
        socket.once("close", resolve);
        socket.close(code);
      }),
  };
}

async function withUndici(url: string): Promise<Client> {
  const socket = new UndiciWebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return {
    extensions: socket.extensions,
    exchange: (messages) =>
      new Promise((resolve) => {
        const got: (string | Buffer)[] = [];
        socket.onmessage = ({ data }) => {
          got.push(typeof data === "string" ? data : Buffer.from(data));
          if (got.length === messages.length) resolve(got);
        };
        for (const message of messages) socket.send(message);
      }),
    close: (code) =>
      new Promise((resolve) => {
        socket.onclose = (event) => resolve(event.code);
        socket.close(code);
      }),
  };
}

const takeover = { serverNoContextTakeover: false, clientNoContextTakeover: false };

const clients: readonly [
  name: string,
  options: Options<unknown, never>,
  connect: (url: string) => Promise<Client>,
  extensions: RegExp,
][] = [
  ["ws, plain", {}, (url) => withWs(url, false), /^$/],
  ["ws, compression offered but not wanted", {}, (url) => withWs(url, true), /^$/],
  ["ws, compressed", { compression: true }, (url) => withWs(url, true), /permessage-deflate/],
  [
    "ws, compressed from the first octet",
    { compression: { threshold: 1 } },
    (url) => withWs(url, { threshold: 0 }),
    /permessage-deflate/,
  ],
  [
    "ws, with context takeover",
    { compression: { ...takeover, threshold: 0 } },
    (url) => withWs(url, { threshold: 0 }),
    /permessage-deflate/,
  ],
  [
    "ws, small windows",
    { compression: { ...takeover, threshold: 10, serverMaxWindowBits: 9, clientMaxWindowBits: 10 } },
    (url) => withWs(url, { threshold: 0, clientMaxWindowBits: 12 }),
    /permessage-deflate/,
  ],
  [
    "ws, by zlib's public interface",
    { compression: { ...takeover, synchronous: false } },
    (url) => withWs(url, { threshold: 0 }),
    /permessage-deflate/,
  ],
  ["undici, plain", {}, withUndici, /^$/],
  ["undici, compressed", { compression: true }, withUndici, /permessage-deflate/],
];

describe.each(clients)("%s", (_name, options, connect, extensions) => {
  test("everything comes back, in order, twice over", async () => {
    const { port } = await serve(echo(options));
    const client = await connect(`ws://127.0.0.1:${port}/`);
    expect(client.extensions).toMatch(extensions);
    for (let round = 0; round < 2; round++) {
      const got = await client.exchange(payloads);
      expect(got.map(describePayload)).toEqual(payloads.map(describePayload));
    }
    expect(await client.close(4321)).toBe(4321);
  });
});

function describePayload(payload: string | Buffer): string {
  return typeof payload === "string" ? `text ${payload}` : `binary ${payload.toString("base64")}`;
}

test("everything comes back over TLS too", async () => {
  const tls = await certificate();
  const { port } = await serve(echo({ compression: { threshold: 100 } }), (builder) => builder.withTls(tls));
  const client = await withWs(`wss://localhost:${port}/`, { threshold: 0 });
  const got = await client.exchange(payloads);
  expect(got.map(describePayload)).toEqual(payloads.map(describePayload));
  expect(await client.close(1000)).toBe(1000);
});

test("over TLS too, a client that answers pings is there", async () => {
  const tls = await certificate();
  const options = { pingIntervalMs: 100, pongTimeoutMs: 500 };
  const { port } = await serve(echo(options), (builder) => builder.withTls(tls));
  const socket = new WebSocket(`wss://localhost:${port}/`, { rejectUnauthorized: false });
  onTestFinished(() => socket.terminate());
  let pings = 0;
  const threePings = new Promise<void>((resolve) => socket.on("ping", () => ++pings === 3 && resolve()));
  await threePings;
  expect(socket.readyState).toBe(WebSocket.OPEN);
});

test("subprotocols and refusals, as ws sees them", async () => {
  const { port } = await serve(echo({ subprotocols: ["b", "c"] }));
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, ["a", "b"]);
  await new Promise((resolve) => socket.once("open", resolve));
  expect(socket.protocol).toBe("b");
  socket.terminate();
  const refused = await serve(echo({ checkOrigin: () => false }));
  const status = await new Promise((resolve) => {
    new WebSocket(`ws://127.0.0.1:${refused.port}/`)
      .once("unexpected-response", (_request, response) => resolve(response.statusCode))
      .once("error", () => {});
  });
  expect(status).toBe(403);
});

test("a prepared frame reaches compressed and plain clients alike", async () => {
  const frames = [mist.prepareFrame(json), mist.prepareFrame(Buffer.from(json)), mist.prepareFrame("small")];
  const { port } = await serve(
    echo({
      compression: true,
      handler(_state, message, websocket) {
        if (message.type === "text") for (const frame of frames) void websocket.sendPrepared(frame);
      },
    }),
  );
  for (const deflate of [true, { clientMaxWindowBits: 10, serverMaxWindowBits: 9 }, false, true]) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: deflate });
    const got = await new Promise<string[]>((resolve) => {
      const messages: string[] = [];
      socket.on("open", () => socket.send("go"));
      socket.on("message", (data, isBinary) => {
        messages.push(`${isBinary} ${data}`);
        if (messages.length === 3) resolve(messages);
      });
    });
    expect(got).toEqual([`false ${json}`, `true ${json}`, "false small"]);
    socket.terminate();
  }
});
