// Who is measured: how each server is started, and why it is left out where it cannot run.

/** @import { Case } from "./cases.mjs" */
/** @import { AddressInfo } from "node:net" */

/**
 * Files of a certificate for localhost; none where there is no openssl.
 *
 * @typedef {{ certfile?: string, keyfile?: string }} Certificate
 */

/**
 * @typedef {object} Contestant
 * @property {(certificate: Certificate, env?: Record<string, string>) => Promise<ServerProcess>} start
 * @property {() => string | undefined} [missing] why it cannot run here
 */

import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findBun, node, tools } from "./machine.mjs";
import { chunk, chunkCount, fileBytes, fileFill, hello, smallFileBytes } from "./requests.mjs";
import { ServerProcess } from "./server-process.mjs";

/** @param {string} path */
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** @param {string} name */
const server = (name) => here(`../servers/${name}.mjs`);
const require = createRequire(import.meta.url);

/**
 * A program of ours on Node.js.
 *
 * @param {string} file
 * @param {...string} args what follows the port on its command line
 * @returns {Contestant}
 */
function program(file, ...args) {
  return { start: (_, env) => ServerProcess.start({ file, env }, [0, ...args]) };
}

/**
 * The same over TLS: the files of the certificate come last on the command line.
 *
 * @param {string} file
 * @param {...string} args
 * @returns {Contestant}
 */
function secure(file, ...args) {
  return {
    start: ({ certfile = "", keyfile = "" }, env) =>
      ServerProcess.start({ file, env }, [0, ...args, certfile, keyfile]),
    missing: () => (tools.openssl ? undefined : "openssl, which makes the certificate, is not installed"),
  };
}

/**
 * A program and its broker, whose port comes last on its command line. The broker runs on the load's core.
 *
 * @param {"redis" | "nats"} broker
 * @param {string} file
 * @param {...string} args
 * @returns {Contestant}
 */
function brokered(broker, file, ...args) {
  return {
    start: async (_, env) => {
      const port = await freePort();
      const running = await ServerProcess.startForeign(
        `${broker}-server`,
        broker === "redis"
          ? ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
          : ["-a", "127.0.0.1", "-p", `${port}`, "-l", "/dev/null"],
        port,
        () => listening(port),
        1,
      );
      const started = await ServerProcess.start({ file, env }, [0, ...args, port]);
      const stop = started.stop.bind(started);
      started.stop = async () => {
        await stop();
        await running.stop();
      };
      return started;
    },
    missing: () => (tools[broker] ? undefined : `${broker}-server is not installed`),
  };
}

/**
 * @param {string} module
 * @param {Contestant} contestant
 * @param {string} why said where the module is not installed
 * @returns {Contestant}
 */
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

/** Loads it to find out: a build is for some versions of Node.js and not for others. */
function missingUWebSockets() {
  const { status } = spawnSync(node, ["-e", 'require("uWebSockets.js")'], { cwd: here("..") });
  return status === 0 ? undefined : "no build of it for this Node.js is installed, and no registry has one";
}

const bun = {
  missing: () => (findBun() === undefined ? "no binary of it runs here" : undefined),
  start: () => ServerProcess.start({ file: server("bun"), bun: findBun() }, [0]),
};

/** @type {Contestant} */
const nginx = { missing: () => (tools.nginx ? undefined : "it is not installed"), start: startNginx };

const missingNghttpd = () => (tools.nghttpd ? undefined : "it is not installed");
/** @type {Contestant} */
const nghttpd = { missing: missingNghttpd, start: () => startNghttpd(["--no-tls"]) };
/** @type {Contestant} */
const nghttpdTls = {
  missing: () => missingNghttpd() ?? secure("").missing?.(),
  start: ({ certfile = "", keyfile = "" }) => startNghttpd([], [keyfile, certfile]),
};

/**
 * Our own programs, of the checkout in `folder`.
 *
 * @param {string} folder
 * @returns {Record<string, Contestant>}
 */
function ours(folder) {
  /** @param {string} path */
  const file = (path) => join(folder, path);
  return {
    mist: program(file("packages/mist/bench/server.mjs")),
    "mist (TLS)": secure(file("packages/mist/bench/server.mjs")),
    glisten: program(file("packages/glisten/bench/echo.mjs")),
    "glisten (TLS)": secure(file("packages/glisten/bench/tls-echo.mjs")),
    "Hono on mist": needing("hono", program(file("bench/servers/hono-mist.mjs")), "Hono is not installed"),
    "mist (Redis)": brokered("redis", file("packages/mist/bench/relay.mjs"), "redis"),
    "mist (Redis streams)": brokered("redis", file("packages/mist/bench/relay.mjs"), "streams"),
    "mist (NATS)": brokered("nats", file("packages/mist/bench/relay.mjs"), "nats"),
    "actor process": program(file("bench/servers/actor.mjs")),
    "client process": program(file("bench/servers/mug-client.mjs")),
  };
}

/**
 * Every contestant by its name.
 *
 * @type {Record<string, Contestant>}
 */
export const contestants = {
  ...ours(here("../..")),
  floor: program(server("floor"), "get"),
  "floor (close)": program(server("floor"), "get-once"),
  "floor (POST)": program(server("floor"), "post-echo"),
  "floor (file)": program(server("floor"), "file"),
  "floor (small file)": program(server("floor"), "small-file"),
  "floor (TLS)": secure(server("floor"), "get"),
  "floor (HTTP/2)": program(server("floor-http2")),
  "floor (HTTP/2, TLS)": secure(server("floor-http2")),
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
  nghttpd,
  "nghttpd (TLS)": nghttpdTls,
  "node:http2": program(server("node-http2")),
  "node:http2 (TLS)": secure(server("node-http2")),
  "node:net": program(here("../../packages/glisten/bench/bare-echo.mjs")),
  "node:net (room)": program(server("bare-room")),
  "node:net (events)": program(server("bare-room"), "events"),
  "node:net (Redis)": brokered("redis", server("bare-relay"), "redis"),
  "node:net (NATS)": brokered("nats", server("bare-relay"), "nats"),
  "socket.io (Redis)": brokered("redis", server("socket-io")),
  "node:tls": secure(here("../../packages/glisten/bench/bare-tls-echo.mjs")),
  ws: needing("ws", program(server("ws")), "it is not installed"),
};

/**
 * Cases between ours and a variant of ours: at most 5 % more. Cases that none of ours takes part in are left out.
 *
 * @param {Case[]} all
 * @param {string} suffix tells the variants' names apart
 * @param {Record<string, Contestant>} variants
 * @returns {Case[]}
 */
function between(all, suffix, variants) {
  for (const [name, variant] of Object.entries(variants)) contestants[name + suffix] = variant;
  return all.flatMap((one) => {
    const mine = one.contestants.find(({ server: name }) => name in variants);
    if (mine === undefined) return [];
    const other = { ...mine, name: mine.name + suffix, server: mine.server + suffix };
    return [{ ...one, contestants: [mine, other], targets: [{ against: other.name, atMost: 1.05 }] }];
  });
}

/**
 * Cases between ours and ours of another, built checkout.
 *
 * @param {Case[]} all
 * @param {string} folder
 */
export function againstCheckout(all, folder) {
  return between(all, " (before)", ours(folder));
}

/**
 * Cases between ours and ours without performance tricks, which the packages leave out when their environment says so.
 *
 * @param {Case[]} all
 * @param {string} tricks such as `push,weight`
 */
export function withoutTricks(all, tricks) {
  const env = { GLISTEN_WITHOUT: tricks, MIST_WITHOUT: tricks };
  const variants = Object.entries(ours(here("../.."))).map(([name, contestant]) => {
    /** @type {Contestant} */
    const variant = { ...contestant, start: (certificate) => contestant.start(certificate, env) };
    return [name, variant];
  });
  return between(all, ` (without ${tricks})`, Object.fromEntries(variants));
}

/** The peer of the clients under measurement, on the load's core. */
export function startPeer() {
  return ServerProcess.start({ file: server("mug-peer"), core: 1 });
}

/**
 * Makes a certificate for localhost.
 *
 * @returns {Certificate & { remove(): void }}
 */
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
  if (tools.nginx === undefined) throw new Error("nginx is not installed");
  const folder = mkdtempSync(join(tmpdir(), "bench-nginx-"));
  const port = await freePort();
  writeFileSync(join(folder, "1m"), Buffer.alloc(fileBytes, fileFill));
  writeFileSync(join(folder, "4k"), Buffer.alloc(smallFileBytes, fileFill));
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
  return startForeign(tools.nginx, ["-c", configuration, "-p", folder], port, folder);
}

/**
 * @param {string[]} options
 * @param {string[]} files of the certificate
 */
async function startNghttpd(options, files = []) {
  const folder = mkdtempSync(join(tmpdir(), "bench-nghttpd-"));
  const port = await freePort();
  writeFileSync(join(folder, "index.html"), hello);
  for (let i = 0; i < chunkCount; i++) appendFileSync(join(folder, "download"), chunk);
  const args = [...options, "-a", "127.0.0.1", "-d", folder, String(port), ...files];
  return startForeign("nghttpd", args, port, folder);
}

/**
 * Starts a program that is not ours; `folder` goes when it stops.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {number} port
 * @param {string} folder
 */
async function startForeign(command, args, port, folder) {
  const started = await ServerProcess.startForeign(command, args, port, () => listening(port));
  const stop = started.stop.bind(started);
  started.stop = async () => {
    await stop();
    rmSync(folder, { recursive: true });
  };
  return started;
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = /** @type {AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });
}

/**
 * Resolves when a server listens on `port`.
 *
 * @param {number} port
 */
async function listening(port) {
  for (let left = 100; ; left--) {
    const there = await new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (there) return;
    if (left === 0) throw new Error(`nothing listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
