// What elsewhere.mjs runs in each runtime: the published packages at their main work, over real sockets on the
// loopback. Prints one line of JSON for each check. Plain JavaScript, nothing but the packages and Node's modules.

import nodeCluster from "node:cluster";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as netConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import * as glisten from "@x/glisten";
import * as mist from "@x/mist";
import * as mug from "@x/mug";

const PATIENCE_MS = 25_000;
const place = nodeCluster.isWorker ? tmpdir() : mkdtempSync(join(tmpdir(), "elsewhere-"));
const tls = { cert: readFileSync("cert.pem", "utf8"), key: readFileSync("key.pem", "utf8") };

/** What a check has opened; disposed of in reverse when it is done. Not `await using`, which Node.js 20 cannot parse. */
const opened = [];
function use(resource) {
  opened.push(resource);
  return resource;
}

const checks = {
  async "mug: echo"() {
    const peer = use(await echoPeer());
    const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
    await socket.send(["four ", Buffer.from("words "), "in one ", "write\n"]);
    same(await socket.receiveLine({ timeout: 2_000 }), "four words in one write");
  },
  async "mug: nothing is lost on a timeout"() {
    const peer = use(await echoPeer());
    const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
    await socket.send("abc");
    same(await code(socket.receiveExact(6, { timeout: 100 })), "timeout");
    await socket.send("def");
    same(String(await socket.receiveExact(6, { timeout: 2_000 })), "abcdef");
  },
  async "mug: half-close"() {
    const peer = use(await echoPeer());
    const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
    await socket.send("all of it");
    await socket.halfClose();
    same(String(await socket.receiveToEnd({ timeout: 2_000 })), "all of it");
  },
  async "mug: a refused connection has its code"() {
    const peer = await echoPeer();
    await peer.close();
    const error = await mug
      .new("127.0.0.1", { port: peer.port })
      .connect()
      .catch((reason) => reason);
    same([error.name, error.family, error.code], ["ConnectError", "ipv4", "econnrefused"]);
  },
  async "mug: reset arrives as a reset"() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const socket = await mug.new("127.0.0.1", { port: server.address().port }).connect();
    const [peer] = await accepted;
    const failed = once(peer, "error").catch((error) => [error]);
    peer.resume();
    await socket.reset();
    const [error] = await Promise.race([failed, once(peer, "end").then(() => [{ code: "a FIN" }])]);
    server.close();
    same(error.code, "ECONNRESET");
  },
  async "mug: a peer that is not read is held back"() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const socket = use(await mug.new("127.0.0.1", { port: server.address().port }).connect());
    const [peer] = await accepted;
    peer.on("error", () => {});
    for (let i = 0; i < 64; i++) peer.write(Buffer.alloc(1 << 20));
    await after(500);
    const taken = socket.bytesRead;
    peer.destroy();
    server.close();
    if (taken > 32 << 20) throw new Error(`${taken} bytes were read that nobody asked for`);
  },

  async "mug: TLS, from the start and by STARTTLS"() {
    const server = createTlsServer(tls, (socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    use({ [Symbol.asyncDispose]: async () => void server.close() });
    const { port } = server.address();
    const trust = { ca: tls.cert, serverName: "localhost" };
    const socket = use(await mug.new("127.0.0.1", { port }).withTls(trust).connect());
    await socket.send("hello\n");
    same(await socket.receiveLine({ timeout: 2_000 }), "hello");
    const later = use(await mug.new("127.0.0.1", { port }).connect());
    await later.startTls({ ...trust, timeout: 2_000 });
    await later.send("hello\n");
    same(await later.receiveLine({ timeout: 2_000 }), "hello");
  },
  async "mug: a certificate of nobody we trust is refused"() {
    const server = createTlsServer(tls, (socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(server, "listening");
    use({ [Symbol.asyncDispose]: async () => void server.close() });
    const { port } = server.address();
    same(await code(mug.new("127.0.0.1", { port }).withTls({ serverName: "localhost" }).connect()), "tls");
  },
  async "mug: web streams"() {
    const peer = use(await echoPeer());
    const socket = use(await mug.new("127.0.0.1", { port: peer.port }).connect());
    const { readable, writable } = socket.toWeb();
    const writer = writable.getWriter();
    await writer.write(Buffer.from("streamed"));
    await writer.close();
    same(await new Response(readable).text(), "streamed");
  },

  async "glisten: echo"() {
    const server = use(await echoServer().start(0));
    same(await say(server.port, "hello\n"), "hello\n");
  },
  async "glisten: echo over TLS"() {
    const server = use(await echoServer().withTls(tls).start(0));
    const socket = use(
      await mug
        .new("127.0.0.1", { port: server.port })
        .withTls({ ca: tls.cert, serverName: "localhost" })
        .connect(),
    );
    await socket.send("hello\n");
    same(await socket.receiveLine({ timeout: 2_000 }), "hello");
  },
  async "glisten: client certificates"() {
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
  },
  async "glisten: echo on a unix socket"() {
    const path = join(place, "socket");
    use(await echoServer().start({ path }));
    const socket = use(await mug.unix(path).connect());
    await socket.send("hello\n");
    same(await socket.receiveLine({ timeout: 2_000 }), "hello");
  },
  async "glisten: a taken port is said in one line"() {
    const server = use(await echoServer().start(0));
    const error = await echoServer()
      .start(server.port)
      .catch((reason) => reason);
    same([error.name, error.socketReason], ["StartError", "eaddrinuse"]);
  },
  async "glisten: the client's address"() {
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
    same([glisten.ipAddressToString(seen.ipAddress), seen.port], ["127.0.0.1", socket.sockname().port]);
  },
  async "glisten: backpressure while a handler is busy"() {
    let release;
    const busy = new Promise((resolve) => (release = resolve));
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
  },
  async "glisten: PROXY protocol"() {
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
    same(glisten.ipAddressToString(seen.ipAddress), "192.0.2.7");
  },

  async "mist: GET, with fetch"() {
    const server = use(await app().start());
    const response = await fetch(`${server.url}/`);
    same([response.status, await response.text()], [200, "hello, mist"]);
  },
  async "mist: POST, read whole"() {
    const server = use(await app().start());
    const response = await fetch(`${server.url}/echo`, { method: "POST", body: "x".repeat(100_000) });
    same([response.status, (await response.text()).length], [200, 100_000]);
  },
  async "mist: POST, streamed"() {
    const server = use(await app().start());
    const response = await fetch(`${server.url}/length`, { method: "POST", body: Buffer.alloc(8 << 20) });
    same(await response.text(), String(8 << 20));
  },
  async "mist: pipelined requests"() {
    const server = use(await app().start());
    const one = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const last = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const answer = await say(server.port, one + one + last);
    same(answer.split("hello, mist").length - 1, 3);
  },
  async "mist: files, with a range"() {
    writeFileSync(join(place, "file.txt"), "0123456789");
    const server = use(await app().start());
    const response = await fetch(`${server.url}/file.txt`, { headers: { range: "bytes=2-4" } });
    same([response.status, await response.text()], [206, "234"]);
  },
  async "mist: chunked answers"() {
    const server = use(await app().start());
    same(await (await fetch(`${server.url}/chunked`)).text(), "one two three");
  },
  async "mist: Server-Sent Events"() {
    const server = use(await app().start());
    same(await (await fetch(`${server.url}/events`)).text(), "data: now\n\n");
  },
  async "mist: compressed answers"() {
    const handler = mist.compress(() =>
      mist
        .response(200)
        .setHeader("content-type", "text/plain")
        .setBody(mist.bytes("long ".repeat(10_000))),
    );
    const server = use(await quiet(mist.new(handler)).start());
    const response = await fetch(server.url, { headers: { "accept-encoding": "gzip" } });
    same([response.headers.get("content-encoding"), (await response.text()).length], ["gzip", 50_000]);
  },
  async "mist: WebSocket, raw"() {
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
  },
  async "mist: WebSocket, with the runtime's client"() {
    if (globalThis.WebSocket === undefined) return "not here";
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
  },
  async "mist: over TLS"() {
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
  },
  async "mist: fetch handlers"() {
    const { fromFetch } = await import("@x/mist/fetch");
    const handler = async (request) => new Response(`${request.method} ${await request.text()}`);
    const server = use(await quiet(mist.new(fromFetch(handler))).start());
    same(await (await fetch(server.url, { method: "POST", body: "body" })).text(), "POST body");
  },
  async "mist: a head that dribbles meets its deadline"() {
    const server = use(await app().withDeadlines({ headMs: 300 }).start());
    const socket = use(await mug.new("127.0.0.1", { port: server.port }).connect());
    await socket.send("GET / HT");
    same(
      String(await socket.receiveToEnd({ timeout: 4_000 })).split("\r\n")[0],
      "HTTP/1.1 408 Request Timeout",
    );
  },
  async "mist: a cluster of two"() {
    const running = await mist.cluster(app, { workers: 2, startTimeoutMs: 15_000 });
    const { address, workers } = await running.info();
    await running.reload();
    same(await (await fetch(`http://127.0.0.1:${address.port}/`)).text(), "hello, mist");
    const replaced = (await running.info()).workers.filter((pid) => !workers.includes(pid));
    same([workers.length, replaced.length, (await running.stop()).killed], [2, 2, 0]);
  },
  async "mist: stop finishes what is under way"() {
    const server = await app().start();
    const response = await fetch(`${server.url}/slow`);
    const stopped = server.stop({ deadlineMs: 5_000 });
    same(await response.text(), "first, last");
    same((await stopped).killed, 0);
  },
};

function app() {
  return quiet(
    mist.new(async (request) => {
      const answer = mist.response(200);
      switch (request.path) {
        case "/":
          return answer.setBody(mist.bytes("hello, mist"));
        case "/echo":
          return answer.setBody(mist.bytes(await mist.readBody(request, { maxBodyLimit: 1 << 20 })));
        case "/length": {
          let length = 0;
          for await (const piece of mist.stream(request)) length += piece.length;
          return answer.setBody(mist.bytes(String(length)));
        }
        case "/chunked":
          return answer.setBody(mist.chunked(["one ", "two ", "three"]));
        case "/slow":
          return answer.setBody(mist.chunked(slowly()));
        case "/events":
          return mist.serverSentEvents({
            request,
            init: (stream) => stream.subject.send("now"),
            loop: (_, text, stream) => {
              stream.sendEvent(mist.event(text));
              return mist.stop();
            },
          });
        case "/ws":
          return mist.websocket({
            request,
            onInit: () => 0,
            handler: async (_, message, conn) => {
              if (message.type === "text") await conn.sendText(message.data);
            },
          });
        default:
          return mist.sendFile(request.path, { root: place, request });
      }
    }),
  );
}

function quiet(builder) {
  return builder.port(0).afterStart(() => {});
}

async function* slowly() {
  yield "first, ";
  await after(500);
  yield "last";
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
  return { port: server.address().port, close, [Symbol.asyncDispose]: async () => void server.close() };
}

/** Sends text with the runtime's own client, and collects until a whole line more than nothing, or the end, is there. */
function say(port, text) {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = netConnect({ port, host: "127.0.0.1" }, () => socket.write(text));
    socket.setTimeout(3_000, () =>
      socket.destroy(new Error(`no whole answer in time, only ${JSON.stringify(answer)}`)),
    );
    socket.on("data", (chunk) => {
      answer += chunk;
      if (answer.endsWith("\n")) socket.destroy();
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(answer));
  });
}

async function code(promise) {
  return promise.then(
    () => "no error",
    (error) => error.code,
  );
}

function same(actual, expected) {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

process.on("unhandledRejection", (error) => console.error("unhandled:", error));
process.on("uncaughtException", (error) => console.error("uncaught:", error));

// The cluster's workers run this same module.
if (nodeCluster.isWorker) await mist.cluster(app);
else await runChecks(process.argv[2]);

async function runChecks(only) {
  for (const [name, check] of Object.entries(checks))
    if (only === undefined || name.includes(only))
      console.log(JSON.stringify({ check: name, problem: await problemOf(check) }));
  rmSync(place, { recursive: true, force: true });
  process.exit(0);
}

async function problemOf(check) {
  const late = after(PATIENCE_MS).then(() => Promise.reject(new Error("it does not end")));
  const problem = await Promise.race([check(), late]).then(
    () => null,
    (error) => String(error?.message ?? error),
  );
  late.catch(() => {});
  const disposed = Promise.all(opened.splice(0).map((each) => each[Symbol.asyncDispose]()));
  await Promise.race([disposed.catch(console.error), after(PATIENCE_MS)]);
  return problem;
}
