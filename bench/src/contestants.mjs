// Who is measured: how each server is started, and why it is left out where it cannot run.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findBun, node, tools } from "./machine.mjs";
import { fileBytes, fileFill } from "./requests.mjs";
import { ServerProcess } from "./server-process.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const server = (name) => here(`../servers/${name}.mjs`);
const require = createRequire(import.meta.url);

function program(file, ...args) {
  return {
    start: (context) => ServerProcess.start({ file }, [0, ...args.map((arg) => context[arg] ?? arg)]),
  };
}

function secure(file, ...args) {
  const missing = tools.openssl ? undefined : "openssl, which makes the certificate, is not installed";
  return { ...program(file, ...args, "certfile", "keyfile"), missing: () => missing };
}

function needing(module, contestant, why) {
  const missing = () => {
    try {
      require.resolve(module);
      return undefined;
    } catch {
      return why;
    }
  };
  return { ...contestant, missing };
}

/** A build of it is for some versions of Node.js, and not for others; so it is loaded. */
function missingUWebSockets() {
  const { status } = spawnSync(node, ["-e", 'require("uWebSockets.js")'], { cwd: here("..") });
  return status === 0 ? undefined : "it is on no registry, and no build of it for this Node.js is installed";
}

const bun = {
  missing: () => (findBun() === undefined ? "no binary of it runs here" : undefined),
  start: () => ServerProcess.start({ file: server("bun"), bun: findBun() }, [0]),
};

const nginx = { missing: () => (tools.nginx ? undefined : "it is not installed"), start: startNginx };

/** Our own servers, of the checkout in `folder`. */
function ours(folder) {
  const file = (path) => join(folder, path);
  return {
    mist: program(file("packages/mist/bench/server.mjs")),
    "mist (TLS)": secure(file("packages/mist/bench/server.mjs")),
    glisten: program(file("packages/glisten/bench/echo.mjs")),
    "glisten (TLS)": secure(file("packages/glisten/bench/tls-echo.mjs")),
    "Hono on mist": needing("hono", program(file("bench/servers/hono-mist.mjs")), "Hono is not installed"),
    "client process": { start: () => ServerProcess.start({ file: file("bench/servers/mug-client.mjs") }) },
  };
}

/** Every contestant by its name. */
export const contestants = {
  ...ours(here("../..")),
  floor: program(server("floor"), "get"),
  "floor (close)": program(server("floor"), "get-once"),
  "floor (POST)": program(server("floor"), "post-echo"),
  "floor (file)": program(server("floor"), "file"),
  "floor (TLS)": secure(server("floor"), "get"),
  "node:http": program(server("node-http")),
  "node:https": secure(server("node-http")),
  fastify: needing("fastify", program(server("fastify")), "it is not installed"),
  "@hono/node-server": needing(
    "@hono/node-server",
    program(server("hono-node-server")),
    "it is not installed",
  ),
  Bun: bun,
  "uWebSockets.js": { ...program(server("uwebsockets")), missing: missingUWebSockets },
  nginx,
  "node:net": program(here("../../packages/glisten/bench/bare-echo.mjs")),
  "node:net (room)": program(server("bare-room")),
  "node:tls": secure(here("../../packages/glisten/bench/bare-tls-echo.mjs")),
  ws: needing("ws", program(server("ws")), "it is not installed"),
};

/** What the name of a contestant from another checkout ends with. */
const before = " (before)";

/**
 * A case between ours and ours of the checkout in `folder`, built beside this one: at most 5 % more. Undefined where
 * none of ours takes part.
 */
export function againstCheckout(one, folder) {
  const known = ours(folder);
  for (const [name, contestant] of Object.entries(known)) contestants[name + before] = contestant;
  const mine = one.contestants.find(({ server: name }) => name in known);
  if (mine === undefined) return undefined;
  const theirs = { ...mine, name: mine.name + before, server: mine.server + before };
  return { ...one, contestants: [mine, theirs], targets: [{ against: theirs.name, atMost: 1.05 }] };
}

/** What clients are measured against, on the load's core. */
export function startPeer() {
  return ServerProcess.start({ file: server("mug-peer"), core: 1 });
}

/** A certificate for localhost, for as long as the run takes. */
export function makeCertificate() {
  if (!tools.openssl) return { remove() {} };
  const folder = mkdtempSync(join(tmpdir(), "bench-certificate-"));
  const certfile = join(folder, "cert.pem");
  const keyfile = join(folder, "key.pem");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const files = ["-out", certfile, "-keyout", keyfile];
  execFileSync("openssl", ["req", "-x509", ...key, "-days", "2", "-subj", "/CN=localhost", ...files], {
    stdio: "ignore",
  });
  return { certfile, keyfile, remove: () => rmSync(folder, { recursive: true }) };
}

async function startNginx() {
  const folder = mkdtempSync(join(tmpdir(), "bench-nginx-"));
  const port = await freePort();
  writeFileSync(join(folder, "1m"), Buffer.alloc(fileBytes, fileFill));
  const lines = [
    "daemon off; master_process off; worker_processes 1;",
    `pid ${join(folder, "pid")}; error_log stderr crit;`,
    "events { worker_connections 1024; }",
    "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;",
    ...["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (kind) => `  ${kind}_temp_path ${join(folder, kind)};`,
    ),
    `  server { listen 127.0.0.1:${port}; location /file/ { alias ${folder}/; } }`,
    "}",
  ];
  const configuration = join(folder, "nginx.conf");
  writeFileSync(configuration, lines.join("\n"));
  const started = await ServerProcess.startForeign(
    tools.nginx,
    ["-c", configuration, "-p", folder],
    port,
    () => listening(port),
  );
  const stop = started.stop.bind(started);
  started.stop = async () => {
    await stop();
    rmSync(folder, { recursive: true });
  };
  return started;
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Settles when somebody listens on `port`. */
async function listening(port) {
  for (let left = 100; ; left--) {
    const there = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (there) return;
    if (left === 0) throw new Error("nginx does not listen");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
