// WebSocket: server CPU per message, beside `ws` and a bare TCP echo, in one run: node bench/websocket.mjs [scenario …]
//
// Every server runs in a process of its own and reports its own CPU time; the client is one raw socket program for
// all of them, so that it weighs the same on each. Every answer's size is checked. A ratio is the median of the rounds.

import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { constants, deflateRawSync } from "node:zlib";

const rounds = Number(process.env.ROUNDS ?? 3);
const self = fileURLToPath(import.meta.url);

// ── servers ───────────────────────────────────────────────────────────────────────────────────────────────────

async function serve(kind) {
  const start = { mist: serveMist, ws: serveWs, tcp: serveTcp }[kind];
  const { port, publish } = await start();
  process.on("message", async (message) => {
    if (message.type === "usage") {
      if (message.collect) globalThis.gc?.();
      const { user, system } = process.cpuUsage();
      const { rss, heapUsed, external } = process.memoryUsage();
      process.send({ type: "usage", cpu: user + system, rss, heap: heapUsed + external });
    } else if (message.type === "publish") {
      for (let i = 0; i < message.times; i += message.burst) {
        for (let j = 0; j < message.burst; j++) publish(message.data);
        await new Promise((resolve) => setImmediate(resolve));
      }
      process.send({ type: "published" });
    }
  });
  process.send({ type: "port", port });
}

async function serveMist() {
  const mist = await import("@x/mist");
  const room = mist.broadcast();
  const socket = (request, compression, onInit) =>
    mist.websocket({
      request,
      compression,
      onInit,
      handler(_state, message, websocket) {
        if (message.type === "text") websocket.sendText(message.data);
        else if (message.type === "binary") websocket.sendBinary(message.data);
      },
    });
  const server = await mist
    .new((request) => {
      if (request.path === "/room") return socket(request, false, (websocket) => void room.join(websocket));
      return socket(request, request.path === "/deflate", () => undefined);
    })
    .afterStart(() => {})
    .port(0)
    .start();
  return { port: server.port, publish: (data) => room.publish(data) };
}

async function serveWs() {
  const { createServer } = await import("node:http");
  const { WebSocketServer } = await import("ws");
  const plain = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const deflate = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  for (const server of [plain, deflate]) {
    server.on("connection", (socket) => {
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
  }
  const http = createServer();
  http.on("upgrade", (request, socket, head) => {
    const server = request.url === "/deflate" ? deflate : plain;
    server.handleUpgrade(request, socket, head, (ws) => server.emit("connection", ws, request));
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    port: http.address().port,
    publish(data) {
      for (const client of plain.clients) client.send(data);
    },
  };
}

async function serveTcp() {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("error", () => {});
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port };
}

class Server {
  constructor(kind) {
    this.kind = kind;
    this.child = fork(self, ["--serve", kind], { execArgv: ["--expose-gc"] });
    this.child.on("exit", (code) => {
      if (code) throw new Error(`${kind} ended with ${code}`);
    });
  }

  async ready() {
    this.port = (await this.next("port")).port;
    return this;
  }

  next(type) {
    return new Promise((resolve) => {
      const listen = (message) => {
        if (message.type !== type) return;
        this.child.off("message", listen);
        resolve(message);
      };
      this.child.on("message", listen);
    });
  }

  usage(collect = false) {
    const answer = this.next("usage");
    this.child.send({ type: "usage", collect });
    return answer;
  }

  publish(data, times, burst) {
    const answer = this.next("published");
    this.child.send({ type: "publish", data, times, burst });
    return answer;
  }

  stop() {
    this.child.disconnect();
    this.child.kill();
  }
}

// ── the client ────────────────────────────────────────────────────────────────────────────────────────────────

function frame(opcode, payload, rsv1 = false) {
  const { length } = payload;
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const out = Buffer.alloc(head + 4 + length);
  out[0] = 0x80 | (rsv1 ? 0x40 : 0) | opcode;
  if (head === 2) out[1] = 0x80 | length;
  else if (head === 4) {
    out[1] = 0x80 | 126;
    out.writeUInt16BE(length, 2);
  } else {
    out[1] = 0x80 | 127;
    out.writeBigUInt64BE(BigInt(length), 2);
  }
  const mask = randomBytes(4);
  mask.copy(out, head);
  for (let i = 0; i < length; i++) out[head + 4 + i] = payload[i] ^ mask[i & 3];
  return out;
}

/** Counts whole frames in what comes. */
class FrameCounter {
  #rest = Buffer.alloc(0);
  #skip = 0;

  count(chunk) {
    let frames = 0;
    let at = 0;
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, chunk]);
      this.#rest = Buffer.alloc(0);
    }
    for (;;) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, bytes.length - at);
        this.#skip -= step;
        at += step;
        if (this.#skip > 0) return frames;
        frames++;
      }
      const left = bytes.length - at;
      const short = left < 2 ? 0 : bytes[at + 1];
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (left < 2 || left < head) {
        this.#rest = Buffer.from(bytes.subarray(at));
        return frames;
      }
      if ((bytes[at] & 0x0f) === 8)
        throw new Error(`closed: ${bytes.subarray(at + head).toString("latin1")}`);
      this.#skip =
        short < 126
          ? short
          : short === 126
            ? bytes.readUInt16BE(at + 2)
            : Number(bytes.readBigUInt64BE(at + 2));
      at += head;
      if (this.#skip === 0) frames++;
    }
  }
}

class ByteCounter {
  #size;
  #bytes = 0;

  constructor(size) {
    this.#size = size;
  }

  count(chunk) {
    this.#bytes += chunk.length;
    const frames = Math.floor(this.#bytes / this.#size);
    this.#bytes -= frames * this.#size;
    return frames;
  }
}

function connect(server, path, extension) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: server.port, host: "127.0.0.1", noDelay: true });
    socket.once("error", reject);
    if (server.kind === "tcp") return socket.once("connect", () => resolve(socket));
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\nSec-WebSocket-Version: 13\r\n` +
        `${extension ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : ""}\r\n`,
    );
    let head = "";
    const onData = (chunk) => {
      head += chunk.toString("latin1");
      if (!head.endsWith("\r\n\r\n")) return;
      if (!head.startsWith("HTTP/1.1 101 ")) return reject(new Error(head));
      if (extension && !/permessage-deflate/i.test(head))
        return reject(new Error("no compression was agreed upon"));
      socket.off("data", onData);
      resolve(socket);
    };
    socket.on("data", onData);
  });
}

async function connectAll(server, count, path, extension) {
  const sockets = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      connect(server, path, extension),
    );
    sockets.push(...(await Promise.all(batch)));
  }
  return sockets;
}

/** Microseconds of server CPU per message. */
async function echo(server, { connections, inFlight, messages, message, path = "/", extension = false }) {
  const sockets = await connectAll(server, connections, path, extension);
  const burst = Buffer.concat(Array.from({ length: inFlight }, () => message));
  const run = (total) =>
    new Promise((resolve, reject) => {
      let sent = 0;
      let done = 0;
      for (const socket of sockets) {
        const counter = server.kind === "tcp" ? new ByteCounter(message.length) : new FrameCounter();
        let waiting = 0;
        const fire = () => {
          if (sent >= total) return;
          sent += inFlight;
          waiting = inFlight;
          socket.write(burst);
        };
        socket.removeAllListeners("data");
        socket.on("data", (chunk) => {
          try {
            const frames = counter.count(chunk);
            waiting -= frames;
            done += frames;
          } catch (error) {
            reject(error);
          }
          if (waiting < 0) reject(new Error("more answers than questions"));
          if (waiting === 0) fire();
          if (done >= total && done === sent) resolve();
        });
        fire();
      }
    });
  await run(Math.ceil(messages / 5));
  const before = await server.usage();
  await run(messages);
  const after = await server.usage();
  for (const socket of sockets) socket.destroy();
  return (after.cpu - before.cpu) / messages;
}

async function broadcast(server, { clients, times, size, burst = 1 }) {
  const sockets = await connectAll(server, clients, "/room", false);
  const data = "x".repeat(size);
  const run = async (count) => {
    let done = 0;
    const all = new Promise((resolve) => {
      for (const socket of sockets) {
        const counter = new FrameCounter();
        socket.removeAllListeners("data");
        socket.on("data", (chunk) => {
          done += counter.count(chunk);
          if (done === count * clients) resolve();
        });
      }
    });
    await Promise.all([server.publish(data, count, burst), all]);
  };
  await run(20);
  const before = await server.usage();
  await run(times);
  const after = await server.usage();
  for (const socket of sockets) socket.destroy();
  return (after.cpu - before.cpu) / (times * clients);
}

// Without deflate the heap, since resident memory moves by more than is at stake with the young generation's size;
// with it resident memory, since zlib's contexts are in no heap.
/** Kibibytes of server memory per connection that has sent and received one message, in a server that is warm. */
async function memory(server, { clients, path, extension, message, of }) {
  const settle = () => new Promise((resolve) => setTimeout(resolve, 300));
  const open = async (count) => {
    const sockets = await connectAll(server, count, path, extension);
    const answers = sockets.map((socket) => new Promise((resolve) => socket.once("data", resolve)));
    for (const socket of sockets) socket.write(message);
    await Promise.all(answers);
    await settle();
    await server.usage(true);
    return sockets;
  };
  const warm = await open(clients);
  for (const socket of warm) socket.destroy();
  await settle();
  const kept = await open(10);
  const before = await server.usage(true);
  const sockets = await open(clients);
  const after = await server.usage(true);
  for (const socket of [...kept, ...sockets]) socket.destroy();
  await settle();
  return (after[of] - before[of]) / clients / 1024;
}

// ── scenarios ─────────────────────────────────────────────────────────────────────────────────────────────────

const small = frame(1, Buffer.alloc(64, "a"));
const smallBinary = frame(2, randomBytes(64));
const json = Buffer.from(
  JSON.stringify(
    Array.from({ length: 20 }, (_, i) => ({ id: i * 7919, user: `user${i}`, ok: i % 3 === 0, score: i / 7 })),
  ),
).subarray(0, 1024);
const deflated = frame(
  1,
  deflateRawSync(json, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4),
  true,
);

const scenarios = {
  "1-in-flight": {
    title: "echo 64 B text, 64 connections, 1 in flight",
    kinds: ["tcp", "mist", "ws"],
    targets: { tcp: 1.05, ws: 1 },
    run: (server) => echo(server, { connections: 64, inFlight: 1, messages: 100_000, message: small }),
  },
  "32-in-flight": {
    title: "echo 64 B text, 64 connections, 32 in flight",
    kinds: ["mist", "ws"],
    targets: { ws: 0.1 },
    run: (server) => echo(server, { connections: 64, inFlight: 32, messages: 400_000, message: small }),
  },
  "32-in-flight-binary": {
    title: "echo 64 B binary, 64 connections, 32 in flight",
    kinds: ["mist", "ws"],
    targets: { ws: 0.1 },
    run: (server) => echo(server, { connections: 64, inFlight: 32, messages: 400_000, message: smallBinary }),
  },
  "64-kib": {
    title: "echo 64 KiB binary, 16 connections, 1 in flight",
    kinds: ["tcp", "mist", "ws"],
    targets: { ws: 0.4 },
    run: (server) =>
      echo(server, {
        connections: 16,
        inFlight: 1,
        messages: 40_000,
        message: frame(2, randomBytes(65_536)),
      }),
  },
  "64-kib-text": {
    title: "echo 64 KiB text, 16 connections, 1 in flight",
    kinds: ["tcp", "mist", "ws"],
    targets: { ws: 0.4 },
    run: (server) =>
      echo(server, {
        connections: 16,
        inFlight: 1,
        messages: 40_000,
        message: frame(1, Buffer.alloc(65_536, "a")),
      }),
  },
  broadcast: {
    title: "broadcast of 128 B to 1000 clients",
    kinds: ["mist", "ws"],
    targets: { ws: 0.5 },
    run: (server) => broadcast(server, { clients: 1000, times: 100, size: 128 }),
  },
  "broadcast-burst": {
    title: "broadcast of 128 B to 1000 clients, ten in a row",
    kinds: ["mist", "ws"],
    targets: { ws: 0.5 },
    run: (server) => broadcast(server, { clients: 1000, times: 200, size: 128, burst: 10 }),
  },
  deflate: {
    title: "echo 1 KiB of JSON, deflated, 64 connections, 1 in flight",
    kinds: ["mist", "ws"],
    targets: { ws: 0.6 },
    run: (server) =>
      echo(server, {
        connections: 64,
        inFlight: 1,
        messages: 20_000,
        message: deflated,
        path: "/deflate",
        extension: true,
      }),
  },
  memory: {
    title: "heap of an idle connection",
    unit: "KiB",
    kinds: ["tcp", "mist", "ws"],
    targets: { ws: 0.7 },
    fresh: true,
    run: (server) =>
      memory(server, { clients: 2000, path: "/", extension: false, message: small, of: "heap" }),
  },
  "memory-deflate": {
    title: "resident memory of an idle connection with deflate",
    unit: "KiB",
    kinds: ["mist", "ws"],
    targets: { ws: 0.5 },
    fresh: true,
    run: (server) =>
      memory(server, { clients: 1000, path: "/deflate", extension: true, message: deflated, of: "rss" }),
  },
};

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function main(chosen) {
  for (const name of chosen)
    if (!(name in scenarios)) throw new Error(`no scenario ${name}: ${Object.keys(scenarios)}`);
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (chosen.length === 0 || chosen.includes(name)) await measure(scenario);
  }
}

async function measure({ title, unit = "µs", kinds, targets, run }) {
  const figures = Object.fromEntries(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      const server = await new Server(kind).ready();
      figures[kind].push(await run(server));
      server.stop();
    }
  }
  console.log(`\n${title}`);
  for (const kind of kinds)
    console.log(`  ${kind.padEnd(5)} ${median(figures[kind]).toFixed(2).padStart(8)} ${unit}`);
  for (const [peer, target] of Object.entries(targets)) {
    const ratio = median(figures.mist.map((figure, round) => figure / figures[peer][round]));
    const verdict = ratio <= target ? "met" : "MISSED";
    console.log(`  mist / ${peer}: ${ratio.toFixed(3)} (target ${target}: ${verdict})`);
  }
}

if (process.argv[2] === "--serve") await serve(process.argv[3]);
else await main(process.argv.slice(2));
