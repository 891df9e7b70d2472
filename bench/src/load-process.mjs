// The load process as its parent sees it, and the programs that make the load where they are installed: wrk that of
// HTTP/1.1, h2load that of HTTP/2.

/** @import { ChildProcess } from "node:child_process" */
/** @import { LoadJob } from "./figures.mjs" */
/** @import { Limits, RunResult } from "./load/worker.mjs" */
/** @typedef {typeof import("./load/worker.mjs").commands} Commands */

import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { node, pinned } from "./machine.mjs";

const worker = fileURLToPath(new URL("./load/worker.mjs", import.meta.url));

const patienceMs = 120_000;

export class LoadProcess {
  /** @type {LoadProcess | undefined} */
  static #kept;
  /** @type {ChildProcess} */
  #child;

  constructor() {
    const [command, argv] = pinned(1, node, [worker]);
    this.#child = spawn(command, argv, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  /**
   * Opens the connections of a job. The process is a fresh one, unless `keep` asks for one that serves all jobs in turn.
   *
   * @param {LoadJob & { port: number, mode: "talk" | "once" }} job
   */
  static async open(job, { keep = false } = {}) {
    const load = LoadProcess.#kept ?? new LoadProcess();
    if (keep) LoadProcess.#kept = load;
    await load.#tell("open", job);
    return load;
  }

  static stopKept() {
    if (LoadProcess.#kept !== undefined) LoadProcess.#kept.#child.kill("SIGKILL");
    LoadProcess.#kept = undefined;
  }

  /**
   * @param {Limits} limits
   * @returns {Promise<RunResult>}
   */
  run(limits) {
    return this.#tell("run", limits);
  }

  /**
   * Has the connections listen for that many messages in total. The function it resolves with settles when they have
   * arrived.
   *
   * @param {number} messages
   * @returns {Promise<() => Promise<RunResult>>}
   */
  async listen(messages) {
    await this.#tell("listen", { messages });
    return () => this.#tell("heard");
  }

  close() {
    return this.#tell("close");
  }

  stop() {
    if (this !== LoadProcess.#kept) this.#child.kill("SIGKILL");
  }

  /**
   * @template {keyof Commands} Name
   * @param {Name} command
   * @param {Parameters<Commands[Name]>} more
   * @returns {Promise<Awaited<ReturnType<Commands[Name]>>>}
   */
  #tell(command, ...[more]) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answers for ${patienceMs / 1000} s`)), patienceMs);
      /** @param {number | null} code */
      const gone = (code) => {
        clearTimeout(timer);
        reject(new Error(`the load process ended with ${code}, see above`));
      };
      this.#child.once("exit", gone);
      this.#child.once("message", (/** @type {any} */ answer) => {
        clearTimeout(timer);
        this.#child.off("exit", gone);
        resolve(answer);
      });
      this.#child.send({ command, ...more });
    });
  }
}

/**
 * Runs h2load against a port; throws if a response is not 2xx or fails. Responses are counted by their bytes, so that
 * those under way at the end count for what has come of them.
 *
 * @param {{ port: number, tls?: boolean | undefined, connections: number, streams: number, path: string,
 *   body?: Buffer | undefined, length: number, milliseconds: number }} load
 * @returns {Promise<RunResult>}
 */
export async function runH2load({
  port,
  tls = false,
  connections,
  streams,
  path,
  body,
  length,
  milliseconds,
}) {
  const folder = mkdtempSync(join(tmpdir(), "bench-h2load-"));
  try {
    const seconds = Math.max(1, Math.round(milliseconds / 1000));
    const args = ["-t1", `-c${connections}`, `-m${streams}`, `-D${seconds}`];
    if (body !== undefined) {
      const file = join(folder, "body");
      writeFileSync(file, body);
      args.push("-d", file);
    }
    args.push(`${tls ? "https" : "http"}://127.0.0.1:${port}${path}`);
    const { stdout } = await promisify(execFile)(...pinned(1, "h2load", args));
    return { count: readH2load(stdout) / length, ms: seconds * 1000 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * The bytes of content that h2load has received.
 *
 * @param {string} output
 */
function readH2load(output) {
  const done = output.match(/ (\d+) done, (\d+) succeeded, 0 failed, 0 errored/);
  const good = output.match(/status codes: (\d+) 2xx/);
  const bytes = output.match(/\((\d+)\) data/);
  if (
    done === null ||
    good === null ||
    bytes === null ||
    done[1] !== done[2] ||
    Number(good[1]) < Number(done[1])
  )
    throw new Error(`h2load says:\n${output}`);
  return Number(bytes[1]);
}

/** @type {Record<string, number>} */
const units = { us: 1e-3, ms: 1, s: 1000, m: 60_000 };

/**
 * Runs wrk against a port; throws if a response is not 2xx or a socket fails.
 *
 * @param {{ port: number, tls?: boolean | undefined, connections: number, batch: Buffer, milliseconds: number }} load
 */
export async function runWrk({ port, tls = false, connections, batch, milliseconds }) {
  const folder = mkdtempSync(join(tmpdir(), "bench-wrk-"));
  try {
    const script = join(folder, "request.lua");
    const text = [...batch].map((byte) => `\\${String(byte).padStart(3, "0")}`).join("");
    writeFileSync(script, `local text = "${text}"\nrequest = function() return text end\n`);
    const seconds = Math.max(1, Math.round(milliseconds / 1000));
    const url = `${tls ? "https" : "http"}://127.0.0.1:${port}/`;
    const args = [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--timeout",
      "10s",
      "--latency",
      "-s",
      script,
      url,
    ];
    const { stdout } = await promisify(execFile)(...pinned(1, "wrk", args));
    return readWrk(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param {string} output
 * @returns {RunResult}
 */
function readWrk(output) {
  const done = output.match(/(\d+) requests in ([\d.]+(?:us|ms|s|m)),/);
  if (done === null || /Non-2xx|Socket errors/.test(output)) throw new Error(`wrk says:\n${output}`);
  /** @param {number} share */
  const latency = (share) =>
    milliseconds(output.match(new RegExp(`${share}%\\s+([\\d.]+(?:us|ms|s|m))`))?.[1]);
  return { count: Number(done[1]), ms: milliseconds(done[2]), p50: latency(50), p99: latency(99) };
}

/**
 * The milliseconds of a time as wrk writes it, such as `1.50ms`.
 *
 * @param {string | undefined} time
 */
function milliseconds(time = "") {
  const [, digits, unit = ""] = /^([\d.]+)(\w+)$/.exec(time) ?? [];
  return Number(digits) * (units[unit] ?? Number.NaN);
}
