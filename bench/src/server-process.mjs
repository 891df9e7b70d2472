// One server under measurement: a process of its own, on its own core. It prints its port and answers the probe.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { threadTime } from "./cpu-time.mjs";
import { node, pinned, serverFlags } from "./machine.mjs";

const probe = fileURLToPath(new URL("./probe.mjs", import.meta.url));

export class ServerProcess {
  #child;
  #lines;

  /** @param program its file, the binary of Bun if that is to run it, and its core: 0 unless it is of the load's side */
  static async start({ file, bun, core = 0 }, args = []) {
    const loader = bun
      ? ["--preload", probe]
      : [...serverFlags, "--expose-gc", "--import", pathToFileURL(probe).href];
    const [command, argv] = pinned(core, bun ?? node, [...loader, file, ...args.map(String)]);
    const server = new ServerProcess(command, argv);
    await server.#ready(file);
    return server;
  }

  /** A program that is no JavaScript, on a port of our choosing, which it must be listening on when `ready` says so. */
  static async startForeign(command, args, port, ready) {
    const [pinnedCommand, argv] = pinned(0, command, args);
    const server = new ServerProcess(pinnedCommand, argv);
    server.port = port;
    await ready();
    return server;
  }

  constructor(command, argv) {
    this.#child = spawn(command, argv, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async #ready(file) {
    const line = await this.#line();
    if (line === "ready") return;
    const port = Number(line.match(/(\d+)\D*$/)?.[1]);
    if (!(port > 0)) throw new Error(`${file} printed no port, but: ${line}`);
    this.port = port;
  }

  async #line() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnargs.join(" ")} ended early`);
    return value;
  }

  /** Asks the probe. */
  async ask(command, more = {}) {
    this.#child.stdin.write(`${JSON.stringify({ command, ...more })}\n`);
    for (;;) {
      const line = await this.#line();
      if (line.startsWith('{"probe":')) return JSON.parse(line).probe;
    }
  }

  /** Microseconds of CPU so far. */
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
