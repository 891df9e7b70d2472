// The machine: what it is, which tools it has, and which core runs what. Where `taskset` is installed, the server has
// one core and the load the next.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";

/** The Node.js that runs the servers and the load: `BENCH_NODE`, or the one that runs this. */
export const node = process.env.BENCH_NODE ?? process.execPath;

/** Further arguments of the servers' Node.js, such as `--cpu-prof`. */
export const serverFlags = process.env.BENCH_SERVER_FLAGS?.split(" ") ?? [];

const require = createRequire(import.meta.url);

/**
 * What a command prints, on either output; undefined if it cannot run.
 *
 * @param {string} command
 * @param {...string} args
 */
function tell(command, ...args) {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return error === undefined ? `${stdout}${stderr}`.trim() : undefined;
}

export const tools = {
  taskset: availableParallelism() > 1 && tell("taskset", "--version") !== undefined,
  wrk: tell("wrk", "-v") !== undefined,
  h2load: tell("h2load", "--version") !== undefined,
  nghttpd: tell("nghttpd", "--version") !== undefined,
  // Debian keeps it where only root looks.
  nginx: ["nginx", "/usr/sbin/nginx"].find((command) => tell(command, "-v") !== undefined),
  openssl: tell("openssl", "version") !== undefined,
  redis: tell("redis-server", "--version") !== undefined,
  nats: tell("nats-server", "--version") !== undefined,
};

/**
 * A command line that keeps a process on one core: 0 for the server, 1 for the load.
 *
 * @param {number} core
 * @param {string} command
 * @param {string[]} args
 * @returns {[command: string, args: string[]]}
 */
export function pinned(core, command, args) {
  return tools.taskset ? ["taskset", ["-c", String(core), command, ...args]] : [command, args];
}

/** Bun's binary, from its package or from the PATH; undefined if none runs. */
export function findBun() {
  const candidates = [];
  try {
    const from = createRequire(require.resolve("bun/package.json"));
    const platform = `@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
    candidates.push(join(dirname(from.resolve(`${platform}/package.json`)), "bin", "bun"));
  } catch {
    // There is none for this platform.
  }
  candidates.push("bun");
  return candidates.find((command) => tell(command, "--version"));
}

/**
 * @param {string} name
 * @returns {string | undefined}
 */
function packageVersion(name) {
  try {
    return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8"))
      .version;
  } catch {
    return undefined;
  }
}

/** How many files this process, and each process that it starts, may have open. */
export function openFiles() {
  const limit = tell("sh", "-c", "ulimit -n");
  return limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit ?? 256);
}

/** @typedef {ReturnType<typeof describeMachine>} Machine */

export function describeMachine() {
  const bun = findBun();
  const versions = {
    node: tell(node, "--version"),
    bun: bun && tell(bun, "--version"),
    fastify: packageVersion("fastify"),
    "@hono/node-server": packageVersion("@hono/node-server"),
    hono: packageVersion("hono"),
    ws: packageVersion("ws"),
    "uWebSockets.js": packageVersion("uWebSockets.js"),
    nginx: tools.nginx && tell(tools.nginx, "-v")?.match(/nginx\/([\d.]+)/)?.[1],
    nghttpd: tools.nghttpd ? tell("nghttpd", "--version")?.match(/[\d.]+$/)?.[0] : undefined,
    wrk: tools.wrk ? tell("wrk", "-v")?.match(/[\d.]+/)?.[0] : undefined,
    h2load: tools.h2load ? tell("h2load", "--version")?.match(/[\d.]+$/)?.[0] : undefined,
  };
  return {
    processor: cpus()[0]?.model ?? process.arch,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release().match(/^\d+\.\d+/)?.[0] ?? ""}`.trim(),
    pinned: tools.taskset,
    versions: Object.fromEntries(Object.entries(versions).filter(([, version]) => version !== undefined)),
  };
}
