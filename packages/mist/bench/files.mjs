// Files, whole, over loopback: `node bench/files.mjs`, the packages built before.
//
// Each server is a process of its own, and is charged the CPU it takes per answer. The floor is a bare `node:net`
// server that has the file in memory and the head ready; the peer is `node:http` with `stat` and a piped read stream,
// which is what most static servers come to. Contestants take turns; medians are compared. Every answer is checked.

import { fork } from "node:child_process";
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const CASES = {
  "4 KiB": { size: 4096, connections: 32, answers: 12_000 },
  "64 KiB": { size: 65_536, connections: 16, answers: 6000 },
  "1 MiB": { size: 1 << 20, connections: 8, answers: 1200 },
  "32 MiB": { size: 32 << 20, connections: 4, answers: 40 },
};

const servers = {
  async mist(file) {
    const mist = await import("@x/mist");
    const handler = (request) => mist.sendFile(file, { request });
    const server = await mist
      .new(handler)
      .port(0)
      .afterStart(() => {})
      .start();
    return server.port;
  },
  "node:http": (file) =>
    listen(
      http.createServer(async (_request, response) => {
        const { size, mtime } = await stat(file);
        response.writeHead(200, {
          "content-type": "application/octet-stream",
          "content-length": size,
          "last-modified": mtime.toUTCString(),
        });
        pipeline(createReadStream(file), response, () => {});
      }),
    ),
  floor(file) {
    const content = readFileSync(file);
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${content.length}\r\n\r\n`;
    return listen(
      net.createServer({ noDelay: true }, (socket) => {
        socket.on("error", () => {});
        socket.on("data", () => {
          socket.cork();
          socket.write(head, "latin1");
          socket.write(content);
          socket.uncork();
        });
      }),
    );
  },
};

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}

async function runServer([name, file]) {
  process.on("message", () => process.send(process.cpuUsage()));
  process.send(await servers[name](file));
}

function ask(child) {
  child.send("cpu");
  return new Promise((resolve) => child.once("message", resolve));
}

const request = "GET /file.bin HTTP/1.1\r\nhost: localhost\r\n\r\n";

/** Asks one after the other on one connection; checks each head, and that the bytes are as many as they should be. */
function client(port, size, answers) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(request));
    let left = answers;
    let awaited = -1;
    socket.on("error", reject);
    socket.on("data", (data) => {
      if (awaited < 0) {
        const end = data.indexOf("\r\n\r\n");
        if (end < 0 || !data.toString("latin1", 0, end).match(/^HTTP\/1\.1 200 OK\r\n.*content-length: /is)) {
          reject(new Error(`not an answer: ${data.toString("latin1", 0, 200)}`));
        }
        awaited = size + end + 4;
      }
      awaited -= data.length;
      if (awaited < 0) reject(new Error("more bytes than asked for"));
      if (awaited > 0) return;
      awaited = -1;
      if (--left > 0) socket.write(request);
      else {
        socket.destroy();
        resolve();
      }
    });
  });
}

async function once(name, file, { connections, answers }) {
  const size = statSync(file).size;
  const child = fork(import.meta.filename, ["--server", name, file]);
  try {
    const port = await new Promise((resolve) => child.once("message", resolve));
    const load = (total) => {
      const each = Math.ceil(total / connections);
      return Promise.all(Array.from({ length: connections }, () => client(port, size, each)));
    };
    await load(answers / 5);
    const before = await ask(child);
    const start = performance.now();
    await load(answers);
    const ms = performance.now() - start;
    const after = await ask(child);
    return {
      cpu: (after.user + after.system - before.user - before.system) / answers,
      perSecond: answers / (ms / 1000),
    };
  } finally {
    child.kill("SIGKILL");
  }
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

async function compare(label, one, folder) {
  const file = join(folder, "file.bin");
  writeFileSync(file, Buffer.alloc(one.size, "mist"));
  const results = Object.fromEntries(Object.keys(servers).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(servers)) results[name].push(await once(name, file, one));
  }
  const ours = median(results.mist.map((result) => result.cpu));
  for (const [name, all] of Object.entries(results)) {
    const cpu = median(all.map((result) => result.cpu));
    const perSecond = median(all.map((result) => result.perSecond));
    const ratio = name === "mist" ? "" : `  mist takes ${(ours / cpu).toFixed(2)} of its CPU`;
    const figures = `${cpu.toFixed(0).padStart(7)} µs CPU ${perSecond.toFixed(0).padStart(7)}/s`;
    console.log(`${label.padEnd(8)} ${name.padEnd(10)} ${figures}${ratio}`);
  }
}

if (process.argv[2] === "--server") await runServer(process.argv.slice(3));
else {
  const folder = mkdtempSync(join(tmpdir(), "mist-bench-files-"));
  try {
    const wanted = process.argv.slice(2);
    for (const [label, one] of Object.entries(CASES)) {
      if (wanted.length === 0 || wanted.includes(label)) await compare(label, one, folder);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
