// Brokers for tests: started on free ports of the loopback, in directories of their own, and ended by their process.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A broker of which a test is the only user. */
export class Engine {
  readonly port: number;
  readonly #command: readonly string[];
  readonly #ready: string;
  readonly #directory: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, directory: string, command: readonly string[], ready: string) {
    this.port = port;
    this.#directory = directory;
    this.#command = command;
    this.#ready = ready;
  }

  static async nats({ configuration = "" } = {}): Promise<Engine> {
    const port = await freePort();
    const directory = await mkdtemp(join(tmpdir(), "nats-"));
    const file = join(directory, "nats.conf");
    await writeFile(file, configuration);
    const command = ["nats-server", "-c", file, "-a", "127.0.0.1", "-p", String(port)];
    return new Engine(port, directory, command, "Server is ready").start();
  }

  /** With `durable`, what it holds survives even `kill`. */
  static async redis({ durable = false } = {}): Promise<Engine> {
    const port = await freePort();
    const directory = await mkdtemp(join(tmpdir(), "redis-"));
    const keep = durable ? ["--appendonly", "yes", "--appendfsync", "always"] : [];
    const command = ["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--dir", directory];
    return new Engine(
      port,
      directory,
      [...command, "--save", "", ...keep],
      "eady to accept connections",
    ).start();
  }

  async start(): Promise<this> {
    const [program, ...args] = this.#command;
    const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let output = "";
      const read = (text: Buffer): void => {
        output += text;
        if (output.includes(this.#ready)) resolve();
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`${program} ended: ${output}`)));
    });
    return this;
  }

  /** Ends it without a farewell. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  /** It keeps its connections, and answers nothing. */
  freeze(): void {
    this.#child!.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child!.kill("SIGCONT");
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true });
  }
}

/** Whether a program can be started here. Says so if it cannot. */
export function has(program: string, flag = "--version"): boolean {
  const found = spawnSync(program, [flag]).status === 0;
  if (!found) console.log(`skipped: ${program} is not installed`);
  return found;
}

/** A port that was free a moment ago, for programs that cannot be told to choose one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
