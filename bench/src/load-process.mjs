// The load's process, seen from here; and wrk, which takes its place for plain HTTP where it is installed.

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
  static #kept;
  #child;

  constructor() {
    const [command, argv] = pinned(1, node, [worker]);
    this.#child = spawn(command, argv, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  /** Opens a job's connections, on a fresh process unless one is to be `kept` for all that come one after the other. */
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

  /** `{ milliseconds }` or `{ messages }`; gives `{ count, ms }`, and `p50` and `p99` where the job measures them. */
  run(limits) {
    return this.#tell("run", limits);
  }

  /** Has the connections listen for so many messages in all; gives what settles when they have them. */
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

  #tell(command, more = {}) {
    return new Promise((resolve, reject) => {
      // An answer that is missing for so long will not come.
      const timer = setTimeout(() => reject(new Error(`no answers for ${patienceMs / 1000} s`)), patienceMs);
      const gone = (code) => {
        clearTimeout(timer);
        reject(new Error(`the load ended with ${code}: see above`));
      };
      this.#child.once("exit", gone);
      this.#child.once("message", (answer) => {
        clearTimeout(timer);
        this.#child.off("exit", gone);
        resolve(answer);
      });
      this.#child.send({ command, ...more });
    });
  }
}

const units = { us: 1e-3, ms: 1, s: 1000, m: 60_000 };

/** Runs wrk against a port; throws when an answer was not a 200 or a socket failed. */
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

function readWrk(output) {
  const done = output.match(/(\d+) requests in ([\d.]+)(us|ms|s|m),/);
  if (done === null || /Non-2xx|Socket errors/.test(output)) throw new Error(`wrk says:\n${output}`);
  const latency = (share) => {
    const found = output.match(new RegExp(`${share}%\\s+([\\d.]+)(us|ms|s|m)`));
    return Number(found[1]) * units[found[2]];
  };
  return { count: Number(done[1]), ms: Number(done[2]) * units[done[3]], p50: latency(50), p99: latency(99) };
}
