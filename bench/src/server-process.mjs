// A server under measurement, in a process and on a core of its own. It prints its port, and its probe answers.

/** @import { ChildProcessByStdio } from "node:child_process" */
/** @import { Readable, Writable } from "node:stream" */
/** @typedef {typeof import("./probe.mjs").commands} Commands */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { threadTime } from "./cpu-time.mjs";
import { node, pinned, serverFlags } from "./machine.mjs";

const probe = fileURLToPath(new URL("./probe.mjs", import.meta.url));

export class ServerProcess {
  /** @type {ChildProcessByStdio<Writable, Readable, null>} */
  #child;
  #lines;
  port = 0;

  /**
   * Starts a program of ours: a file, the Bun binary if Bun runs it, its core, which is 0 unless it belongs to the load,
   * and what its environment has besides ours.
   *
   * @param {{ file: string, bun?: string | undefined, core?: number, env?: Record<string, string> | undefined }} program
   * @param {(string | number)[]} args
   */
  static async start({ file, bun, core = 0, env = {} }, args = []) {
    const loader = bun
      ? ["--preload", probe]
      : [...serverFlags, "--expose-gc", "--import", pathToFileURL(probe).href];
    const [command, argv] = pinned(core, bun ?? node, [...loader, file, ...args.map(String)]);
    const server = new ServerProcess(command, argv, env);
    await server.#ready(file);
    return server;
  }

  /**
   * Starts a program that is not JavaScript and listens on `port` once `ready` resolves.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {number} port
   * @param {() => Promise<void>} ready
   * @param {number} [core]
   */
  static async startForeign(command, args, port, ready, core = 0) {
    const [pinnedCommand, argv] = pinned(core, command, args);
    const server = new ServerProcess(pinnedCommand, argv);
    server.port = port;
    await ready();
    return server;
  }

  /**
   * @param {string} command
   * @param {string[]} argv
   * @param {Record<string, string>} env
   */
  constructor(command, argv, env = {}) {
    this.#child = spawn(command, argv, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @param {string} file */
  async #ready(file) {
    const line = await this.#line();
    if (line === "ready") return;
    const port = Number(line.match(/(\d+)\D*$/)?.[1]);
    if (!(port > 0)) throw new Error(`expected a port from ${file}, got: ${line}`);
    this.port = port;
  }

  /** @returns {Promise<string>} */
  async #line() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnargs.join(" ")} ended early`);
    return value;
  }

  /**
   * Asks the probe; resolves with its answer.
   *
   * @template {keyof Commands} Name
   * @param {Name} command
   * @param {Parameters<Commands[Name]>} more
   * @returns {Promise<Awaited<ReturnType<Commands[Name]>>>}
   */
  async ask(command, ...[more]) {
    this.#child.stdin.write(`${JSON.stringify({ command, ...more })}\n`);
    for (;;) {
      const line = await this.#line();
      if (line.startsWith('{"probe":')) return JSON.parse(line).probe;
    }
  }

  /**
   * Microseconds of CPU so far.
   *
   * @returns {Promise<number>}
   */
  async cpuTime() {
    return threadTime(this.#child.pid) ?? (await this.ask("usage")).cpu;
  }

  stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return undefined;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 500);
    return gone.finally(() => clearTimeout(timer));
  }
}
