// What a Hono app costs on `@x/mist/fetch`, beside the same app on @hono/node-server: node bench/fetch.mjs [ROUNDS]
//
// Both serve from a process of their own; rounds take turns, so that a noisy machine is noisy for both. A figure is the
// median of the server's processor time for a request, and the ratio is what counts. Every answer is checked.
// @hono/node-server is a dependency of the workspace's bench package; without it there is nothing to compare with.

import { fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Hono } from "hono";

const connections = 64;
const perRound = 64 * 400;
const [mode = "5", contestant] = process.argv.slice(2);

const browser = [
  "host: localhost:8080",
  "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "accept-language: en-US,en;q=0.5",
  "accept-encoding: gzip, deflate, br",
  "cookie: session=0123456789abcdef; theme=dark",
].join("\r\n");
const content = JSON.stringify({ name: "a name", list: [1, 2, 3] });

const workloads = {
  hello: ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "Hello, world!"],
  "headers read and set, JSON": [
    `GET /json/7?q=x HTTP/1.1\r\n${browser}\r\n\r\n`,
    '{"id":"7","q":"x","theme":"dark"}',
  ],
  "JSON posted": [
    `POST /json HTTP/1.1\r\n${browser}\r\ncontent-type: application/json\r\ncontent-length: ${content.length}\r\n\r\n${content}`,
    content,
  ],
  "a stream": ["GET /stream HTTP/1.1\r\nhost: a\r\n\r\n", "one two three"],
};

function app() {
  const app = new Hono();
  app.get("/", (c) => c.text("Hello, world!"));
  app.get("/json/:id", (c) => {
    const theme = /theme=(\w+)/.exec(c.req.header("cookie") ?? "")?.[1];
    c.header("cache-control", "no-store");
    return c.json({ id: c.req.param("id"), q: c.req.query("q"), theme });
  });
  app.post("/json", async (c) => c.json(await c.req.json()));
  app.get("/stream", () => {
    const words = ["one ", "two ", "three"].map((word) => new TextEncoder().encode(word));
    return new Response(
      new ReadableStream({
        pull(controller) {
          const word = words.shift();
          if (word === undefined) controller.close();
          else controller.enqueue(word);
        },
      }),
    );
  });
  return app;
}

// ── a server's process ────────────────────────────────────────────────────────────────────────────────────────

function nodeServer() {
  const require = createRequire(new URL("../../../bench/package.json", import.meta.url));
  return import(pathToFileURL(require.resolve("@hono/node-server")).href);
}

const servers = {
  async mist() {
    const mist = await import("@x/mist");
    const { fromFetch } = await import("@x/mist/fetch");
    const server = await mist
      .new(fromFetch(app().fetch))
      .port(0)
      .afterStart(() => {})
      .start();
    return server.port;
  },
  async "@hono/node-server"() {
    const { serve } = await nodeServer();
    return new Promise((resolve) => {
      serve({ fetch: app().fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => resolve(port));
    });
  },
};

async function runServer(name) {
  const port = await servers[name]();
  process.on("message", () => process.send(process.cpuUsage()));
  process.once("disconnect", () => process.exit());
  process.send({ port });
}

// ── the client ────────────────────────────────────────────────────────────────────────────────────────────────

// The length of one answer in `text`, or 0 if it is not all there.
function answerLength(text) {
  const head = text.indexOf("\r\n\r\n") + 4;
  if (head === 3) return 0;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1];
  const end = length === undefined ? text.indexOf("\r\n0\r\n\r\n") + 7 : head + Number(length);
  return end > 6 && text.length >= end ? end : 0;
}

function contentOf(answer) {
  const head = answer.indexOf("\r\n\r\n") + 4;
  const body = answer.slice(head);
  return /\r\ntransfer-encoding: chunked/i.test(answer.slice(0, head))
    ? body.replace(/[0-9a-f]+\r\n([^\r]*)\r\n/gi, "$1").replace("\r\n", "")
    : body;
}

// One connection that asks again as soon as it is answered. The client must not be what the server waits for: an
// answer that comes in one piece and ends like the one before, which was checked, is not taken apart again.
async function converse(port, [request, expected], times) {
  const socket = connect(port, "127.0.0.1").setNoDelay().setEncoding("latin1");
  let text = "";
  let known = "";
  let left = times;
  socket.write(request);
  for await (const piece of socket) {
    if (known === "" || text !== "" || piece.length !== known.length || !endsAlike(piece, known)) {
      text += piece;
      const length = answerLength(text);
      if (length === 0) continue;
      known = text.slice(0, length);
      text = text.slice(length);
      if (!known.startsWith("HTTP/1.1 200 ") || contentOf(known) !== expected)
        throw new Error(`wrong: ${known}`);
    }
    left--;
    if (left === 0) break;
    socket.write(request);
  }
  if (left > 0) throw new Error("the server closed the connection");
}

function endsAlike(piece, known) {
  return piece.startsWith("HTTP/1.1 200 ") && piece.endsWith(known.slice(known.indexOf("\r\n\r\n")));
}

async function processorTime(server) {
  server.send("cpu");
  const [{ user, system }] = await once(server, "message");
  return user + system;
}

async function round(server, port, workload, requests) {
  const before = await processorTime(server);
  const each = requests / connections;
  await Promise.all(Array.from({ length: connections }, () => converse(port, workload, each)));
  return ((await processorTime(server)) - before) / requests;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function compare(rounds) {
  const running = [];
  for (const name of Object.keys(servers)) {
    const server = fork(fileURLToPath(import.meta.url), ["serve", name]);
    const [{ port }] = await once(server, "message");
    running.push({ name, server, port });
  }
  try {
    for (const [title, workload] of Object.entries(workloads)) {
      const figures = running.map(() => []);
      for (let at = -1; at < rounds; at++) {
        for (const [index, { server, port }] of running.entries()) {
          const figure = await round(server, port, workload, perRound);
          if (at >= 0) figures[index].push(figure); // the first one warms up
        }
      }
      const [mist, other] = figures.map(median);
      const times = running.map(({ name }, index) => `${name} ${median(figures[index]).toFixed(1)} µs`);
      console.log(`${title.padEnd(28)} ${(mist / other).toFixed(2)} x   (${times.join(", ")})`);
    }
  } finally {
    for (const { server } of running) server.disconnect();
  }
}

async function isInstalled() {
  try {
    await nodeServer();
    return true;
  } catch {
    return false;
  }
}

if (mode === "serve") await runServer(contestant);
else if (await isInstalled()) await compare(Number(mode));
else console.log("@hono/node-server is not installed (see the bench package): nothing to compare with");
