// The main features of the packed packages over loopback sockets, as tests of `node:test`, which Node.js, Bun and Deno run
// with their own test commands. elsewhere.mjs starts it in a project that has the tarballs installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as netConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after as afterAll, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import * as glisten from "@x/glisten";
import * as mist from "@x/mist";
import { virtualClock } from "@x/mist/testing";
import * as mug from "@x/mug";
import { app, quiet } from "./app.mjs";

const place = mkdtempSync(join(tmpdir(), "elsewhere-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));
const tls = { cert: readFileSync("cert.pem", "utf8"), key: readFileSync("key.pem", "utf8") };

/**
 * What fails on a runtime, and why; the READMEs document it.
 *
 * @type {Record<string, { reason: string, checks: string[] }>}
 */
const known = {
  bun: {
    reason: "Bun's tls.Server does not accept connections that are handed to it",
    checks: ["glisten: echo over TLS", "glisten: client certificates", "mist: over TLS"],
  },
};
if (globalThis.WebSocket === undefined)
  known.node = {
    reason: "this Node.js has no WebSocket client",
    checks: ["mist: WebSocket, with the runtime's client"],
  };
const runtime = "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "node";

/**
 * What a check has opened; it is disposed of in reverse order. Node.js 20 cannot parse `await using`.
 *
 * @type {AsyncDisposable[]}
 */
const opened = [];

/**
 * @template {AsyncDisposable} Resource
 * @param {Resource} resource
 */
function use(resource) {
  opened.push(resource);
  return resource;
}

/**
 * @param {string} name
 * @param {() => Promise<void>} body
 */
function check(name, body) {
  const fault = known[runtime];
  const skip = fault?.checks.includes(name) ? fault.reason : false;
  test(name, { timeout: 25_000, skip }, async () => {
    try {
      await body();
    } finally {
      for (const resource of opened.splice(0).reverse()) await resource[Symbol.asyncDispose]();
    }
  });
}

check("mug: echo", async () => {
  const peer = use(await echoPeer());
  const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
  await socket.send(["four ", Buffer.from("words "), "in one ", "write\n"]);
  same(await socket.receiveLine({ timeout: 2_000 }), "four words in one write");
});

check("mug: nothing is lost on a timeout", async () => {
  const peer = use(await echoPeer());
  const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
  await socket.send("abc");
  same(await code(socket.receiveExact(6, { timeout: 100 })), "timeout");
  await socket.send("def");
  same(String(await socket.receiveExact(6, { timeout: 2_000 })), "abcdef");
});

check("mug: half-close", async () => {
  const peer = use(await echoPeer());
  const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
  await socket.send("all of it");
  await socket.halfClose();
  same(String(await socket.receiveToEnd({ timeout: 2_000 })), "all of it");
});

check("mug: a refused connection has an error code", async () => {
  const peer = await echoPeer();
  await peer.close();
  const error = await mug
    .new("127.0.0.1", { port: peer.port })
    .connect()
    .catch((reason) => reason);
  same([error.name, error.family, error.code], ["ConnectError", "ipv4", "econnrefused"]);
});

check("mug: the peer sees a reset", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const socket = await mug.new("127.0.0.1", { port: portOf(server.address()) }).connect();
  const [peer] = await accepted;
  const failed = once(peer, "error").catch((error) => [error]);
  peer.resume();
  await socket.reset();
  const [error] = await Promise.race([failed, once(peer, "end").then(() => [{ code: "a FIN" }])]);
  server.close();
  same(error.code, "ECONNRESET");
});

check("mug: a peer whose data is not read is held back", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const socket = use(await mug.new("127.0.0.1", { port: portOf(server.address()) }).connect());
  const [peer] = await accepted;
  peer.on("error", () => {});
  for (let i = 0; i < 64; i++) peer.write(Buffer.alloc(1 << 20));
  await after(500);
  const taken = socket.bytesRead;
  peer.destroy();
  server.close();
  if (taken > 32 << 20) throw new Error(`${taken} bytes were read that nobody asked for`);
});

check("mug: TLS, from the start and with STARTTLS", async () => {
  const server = createTlsServer(tls, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  use({ [Symbol.asyncDispose]: async () => void server.close() });
  const port = portOf(server.address());
  const trust = { ca: tls.cert, serverName: "localhost" };
  const socket = use(await mug.new("127.0.0.1", { port }).withTls(trust).connect());
  await socket.send("hello\n");
  same(await socket.receiveLine({ timeout: 2_000 }), "hello");
  const later = use(await mug.new("127.0.0.1", { port }).connect());
  await later.startTls({ ...trust, timeout: 2_000 });
  await later.send("hello\n");
  same(await later.receiveLine({ timeout: 2_000 }), "hello");
});

check("mug: an untrusted certificate is rejected", async () => {
  const server = createTlsServer(tls, (socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(server, "listening");
  use({ [Symbol.asyncDispose]: async () => void server.close() });
  const port = portOf(server.address());
  same(await code(mug.new("127.0.0.1", { port }).withTls({ serverName: "localhost" }).connect()), "tls");
});

check("mug: web streams", async () => {
  const peer = use(await echoPeer());
  const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
  const { readable, writable } = socket.toWeb();
  const writer = writable.getWriter();
  await writer.write(Buffer.from("streamed"));
  await writer.close();
  same(await new Response(readable).text(), "streamed");
});

check("glisten: echo", async () => {
  const server = use(await echoServer().start(0));
  same(await say(server.port, "hello\n"), "hello\n");
});

check("glisten: echo over TLS", async () => {
  const server = use(await echoServer().withTls(tls).start(0));
  const socket = use(
    await mug
      .new("127.0.0.1", { port: server.port })
      .withTls({ ca: tls.cert, serverName: "localhost" })
      .connect(),
  );
  await socket.send("hello\n");
  same(await socket.receiveLine({ timeout: 2_000 }), "hello");
});

check("glisten: client certificates", async () => {
  const server = use(await echoServer().withTls(tls).withClientVerification({ ca: tls.cert }).start(0));
  const trust = { ca: tls.cert, serverName: "localhost" };
  const known = use(
    await mug
      .new("127.0.0.1", { port: server.port })
      .withTls({ ...trust, ...tls })
      .connect(),
  );
  await known.send("hello\n");
  same(await known.receiveLine({ timeout: 2_000 }), "hello");
  const stranger = await mug
    .new("127.0.0.1", { port: server.port })
    .withTls(trust)
    .connect()
    .catch(() => undefined);
  if (stranger === undefined) return;
  await use(stranger)
    .send("hello\n")
    .catch(() => {});
  same(await stranger.receive({ timeout: 2_000 }).catch(() => "refused"), "refused");
});

check("glisten: echo on a unix socket", async () => {
  const path = join(place, "socket");
  use(await echoServer().start({ path }));
  const socket = use(await mug.unix(path).connect());
  await socket.send("hello\n");
  same(await socket.receiveLine({ timeout: 2_000 }), "hello");
});

check("glisten: a port in use is a StartError", async () => {
  const server = use(await echoServer().start(0));
  const error = await echoServer()
    .start(server.port)
    .catch((reason) => reason);
  same([error.name, error.socketReason], ["StartError", "eaddrinuse"]);
});

check("glisten: the client's address", async () => {
  /** @type {glisten.ConnectionInfo | undefined} */
  let seen;
  const server = use(
    await glisten
      .new(
        (conn) => {
          seen = conn.info();
        },
        () => glisten.stop(),
      )
      .start(0),
  );
  const socket = use(await mug.new("127.0.0.1", { port: server.port }).connect());
  await socket.send("x");
  await socket.receiveToEnd({ timeout: 2_000 });
  same(
    [seen && glisten.ipAddressToString(seen.ipAddress), seen?.port],
    ["127.0.0.1", portOf(socket.sockname())],
  );
});

check("glisten: backpressure while a handler is busy", async () => {
  let release = () => {};
  const busy = new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
    release = resolve;
  });
  const server = use(
    await glisten
      .new(
        () => 0,
        () => busy,
      )
      .start(0),
  );
  const socket = use(await mug.new("127.0.0.1", { port: server.port }).connect());
  const sent = socket.send(Buffer.alloc(64 << 20));
  await after(500);
  const { bytesRead } = server.info();
  release();
  await sent;
  if (bytesRead > 32 << 20) throw new Error(`${bytesRead} bytes were read while the handler was busy`);
});

check("glisten: PROXY protocol", async () => {
  /** @type {glisten.ConnectionInfo | undefined} */
  let seen;
  const server = use(
    await glisten
      .new(
        (conn) => {
          seen = conn.info();
        },
        async (_, message, conn) => {
          if (message.type === "packet") await conn.send(message.data);
        },
      )
      .withProxyProtocol({ trustedPeers: ["127.0.0.1"] })
      .start(0),
  );
  same(await say(server.port, "PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\nhello\n"), "hello\n");
  same(seen && glisten.ipAddressToString(seen.ipAddress), "192.0.2.7");
});

check("mist: GET, with fetch", async () => {
  const server = use(await app().start());
  const response = await fetch(`${server.url}/`);
  same([response.status, await response.text()], [200, "hello, mist"]);
});

check("mist: POST, read whole", async () => {
  const server = use(await app().start());
  const response = await fetch(`${server.url}/echo`, { method: "POST", body: "x".repeat(100_000) });
  same([response.status, (await response.text()).length], [200, 100_000]);
});

check("mist: POST, streamed", async () => {
  const server = use(await app().start());
  const response = await fetch(`${server.url}/length`, { method: "POST", body: Buffer.alloc(8 << 20) });
  same(await response.text(), String(8 << 20));
});

check("mist: pipelined requests", async () => {
  const server = use(await app().start());
  const one = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
  const last = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
  const answer = await say(server.port, one + one + last);
  same(answer.split("hello, mist").length - 1, 3);
});

check("mist: files, with a range", async () => {
  writeFileSync("file.txt", "0123456789");
  const server = use(await app().start());
  const response = await fetch(`${server.url}/file.txt`, { headers: { range: "bytes=2-4" } });
  same([response.status, await response.text()], [206, "234"]);
});

check("mist: chunked answers", async () => {
  const server = use(await app().start());
  same(await (await fetch(`${server.url}/chunked`)).text(), "one two three");
});

check("mist: Server-Sent Events", async () => {
  const server = use(await app().start());
  same(await (await fetch(`${server.url}/events`)).text(), "data: now\n\n");
});

check("mist: compressed answers", async () => {
  const handler = mist.compress(() =>
    mist
      .response(200)
      .setHeader("content-type", "text/plain")
      .setBody(mist.bytes("long ".repeat(10_000))),
  );
  const server = use(await quiet(mist.new(handler)).start());
  const response = await fetch(server.url, { headers: { "accept-encoding": "gzip" } });
  same([response.headers.get("content-encoding"), (await response.text()).length], ["gzip", 50_000]);
});

check("mist: WebSocket, raw", async () => {
  const server = use(await app().start());
  const socket = use(await mug.new("127.0.0.1", { port: server.port }).connect());
  const key = Buffer.from("the sample nonce").toString("base64");
  await socket.send(
    `GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n` +
      `sec-websocket-key: ${key}\r\nsec-websocket-version: 13\r\n\r\n`,
  );
  const head = String(await socket.receiveUntil("\r\n\r\n", { timeout: 2_000 }));
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (!head.startsWith("HTTP/1.1 101") || !head.includes(accept)) throw new Error(head);
  await socket.send(Buffer.concat([Buffer.from([0x81, 0x80 | 5, 0, 0, 0, 0]), Buffer.from("hello")]));
  same((await socket.receiveExact(7, { timeout: 2_000 })).toString("latin1"), "\x81\x05hello");
});

check("mist: WebSocket, with the runtime's client", async () => {
  const server = use(await app().start());
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`);
  const heard = new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error("the client failed"));
    socket.onopen = () => socket.send("hello ".repeat(1_000));
  });
  same(await heard, "hello ".repeat(1_000));
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.close(1000);
  same((await closed).code, 1000);
});

check("mist: HTTP/2, GET", async () => {
  const server = use(await app().start());
  const peer = use(await http2Peer(server.port));
  await peer.open(1, { ":method": "GET", ":scheme": "http", ":path": "/", ":authority": "x" }, true);
  same(await peer.body(1, 11), "hello, mist");
});

check("mist: HTTP/2, WebSocket", async () => {
  const server = use(await app().start());
  const peer = use(await http2Peer(server.port));
  /** @type {Record<string, string>} */
  const connect = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/ws" };
  await peer.open(1, { ...connect, ":authority": "x", "sec-websocket-version": "13" }, false);
  await peer.data(1, Buffer.concat([Buffer.from([0x81, 0x80 | 5, 0, 0, 0, 0]), Buffer.from("hello")]));
  same(await peer.body(1, 7), "\x81\x05hello");
});

check("mist: over TLS", async () => {
  const server = use(await app().withTls(tls).start());
  const socket = use(
    await mug
      .new("127.0.0.1", { port: server.port })
      .withTls({ ca: tls.cert, serverName: "localhost" })
      .connect(),
  );
  await socket.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const answer = String(await socket.receiveToEnd({ timeout: 3_000 }));
  same(answer.split("\r\n\r\n")[1], "hello, mist");
});

check("mist: fetch handlers", async () => {
  const { fromFetch } = await import("@x/mist/fetch");
  /** @param {Request} request */
  const handler = async (request) => new Response(`${request.method} ${await request.text()}`);
  const server = use(await quiet(mist.new(fromFetch(handler))).start());
  same(await (await fetch(server.url, { method: "POST", body: "body" })).text(), "POST body");
});

check("mist: a slow head meets its deadline", async () => {
  const server = use(await app().withDeadlines({ headMs: 300 }).start());
  const socket = use(await mug.new("127.0.0.1", { port: server.port }).connect());
  await socket.send("GET / HT");
  same(
    String(await socket.receiveToEnd({ timeout: 4_000 })).split("\r\n")[0],
    "HTTP/1.1 408 Request Timeout",
  );
});

check("mist: 75 seconds of virtual time", async () => {
  const clock = virtualClock();
  try {
    const server = await app().start();
    const socket = await mug.new("127.0.0.1", { port: server.port }).connect();
    await socket.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await socket.receiveUntil("hello, mist");
    await clock.advance(74_999);
    same(await code(socket.receive({ timeout: 0 })), "timeout");
    await clock.advance(201);
    same(await code(socket.receive({ timeout: 2_000 })), "closed");
    await socket.close();
    await clock.until(server.stop());
  } finally {
    clock[Symbol.dispose]();
  }
});

check("mist: a cluster of two", async () => {
  // In a process of its own, because a test command cannot be forked.
  const [command, ...args] = JSON.parse(process.env.RUN ?? "[]");
  const child = spawn(command, [...args, "cluster.mjs"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  await once(child, "close");
  same(JSON.parse(output), { answer: "hello, mist", workers: 2, replaced: 2, killed: 0 });
});

check("mist: stop finishes requests in progress", async () => {
  const server = await app().start();
  const response = await fetch(`${server.url}/slow`);
  const stopped = server.stop({ deadlineMs: 5_000 });
  same(await response.text(), "first, last");
  same((await stopped).killed, 0);
});

/**
 * A client of HTTP/2's that knows the frames it needs, because not every runtime's does extended CONNECT.
 *
 * @param {number} port
 */
async function http2Peer(port) {
  const socket = await mug.new("127.0.0.1", { port }).connect();
  /** @type {(type: number, flags: number, id: number, payload: Uint8Array) => Promise<void>} */
  const send = async (type, flags, id, payload) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(id, 5);
    await socket.send(Buffer.concat([head, payload]));
  };
  /** @param {string} text */
  const literal = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
  await socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await send(4, 0, 0, Buffer.alloc(0));
  return {
    /** @type {(id: number, fields: Record<string, string>, ended: boolean) => Promise<void>} */
    open: (id, fields, ended) => {
      const lines = Object.entries(fields).map(([name, value]) =>
        Buffer.concat([Buffer.from([0]), literal(name), literal(value)]),
      );
      return send(1, ended ? 5 : 4, id, Buffer.concat(lines));
    },
    /** @type {(id: number, payload: Uint8Array) => Promise<void>} */
    data: (id, payload) => send(0, 0, id, payload),
    /**
     * The first `length` bytes of the stream's DATA.
     *
     * @type {(id: number, length: number) => Promise<string>}
     */
    async body(id, length) {
      let body = "";
      while (body.length < length) {
        const head = await socket.receiveExact(9, { timeout: 2_000 });
        const size = head.readUIntBE(0, 3);
        const payload = size === 0 ? Buffer.alloc(0) : await socket.receiveExact(size, { timeout: 2_000 });
        if (head.readUInt8(3) === 0 && head.readUInt32BE(5) === id) body += payload.toString("latin1");
      }
      return body;
    },
    [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
  };
}

function echoServer() {
  return glisten.new(
    () => 0,
    async (count, message, conn) => {
      if (message.type === "packet") await conn.send(message.data);
      return glisten.continue(count + 1);
    },
  );
}

/** An echo server of the runtime's own. */
async function echoPeer() {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => new Promise((resolve) => server.close(resolve));
  return { port: portOf(server.address()), close, [Symbol.asyncDispose]: async () => void server.close() };
}

/**
 * Sends text with the runtime's own client; resolves with what comes back up to the end of a line, or the end.
 *
 * @param {number} port
 * @param {string} text
 * @returns {Promise<string>}
 */
function say(port, text) {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = netConnect({ port, host: "127.0.0.1" }, () => socket.write(text));
    socket.setTimeout(3_000, () =>
      socket.destroy(new Error(`no complete answer in time, only ${JSON.stringify(answer)}`)),
    );
    socket.on("data", (chunk) => {
      answer += chunk;
      if (answer.endsWith("\n")) socket.destroy();
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(answer));
  });
}

/**
 * @param {Promise<unknown>} promise
 * @returns {Promise<unknown>} the code of the error that it rejects with
 */
async function code(promise) {
  return promise.then(
    () => "no error",
    (error) => error.code,
  );
}

/** @type {(actual: unknown, expected: unknown) => void} */
const same = assert.deepEqual;

/** @param {number} ms */
function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** @param {object | string | null} address */
function portOf(address) {
  if (address === null || typeof address === "string" || !("port" in address))
    throw new Error(`${JSON.stringify(address)} has no port`);
  return Number(address.port);
}
