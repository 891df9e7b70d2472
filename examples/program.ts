// Runs an example as its reader would, as a program of its own on a free port, and stops it the same way.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

/** An example that runs. */
export interface Program {
  /** The port it said that it listens on. */
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** Everything it has printed. */
  output(): string;
  /** Resolves when the program has printed something that matches. */
  printed(pattern: RegExp): Promise<string>;
  /** Asks it to stop with SIGTERM; resolves with its exit code. */
  stop(): Promise<number | null>;
}

/** Starts `examples/<name>/dist/<file>` and waits until it says on which port it listens. */
export async function startProgram(
  name: string,
  env: Record<string, string> = {},
  file = "main.js",
): Promise<Program> {
  const path = fileURLToPath(new URL(`./${name}/dist/${file}`, import.meta.url));
  const child = spawn(process.execPath, [path], { env: { ...process.env, PORT: "0", ...env } });
  const text = collect(child);
  const [, found] = await text.match(/(?:port |https?:\/\/[\w.]+:)(\d+)/);
  const port = Number(found);
  return {
    port,
    url: `http://localhost:${port}`,
    pid: child.pid!,
    output: text.all,
    printed: async (pattern) => (await text.match(pattern))[0],
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      return child.exitCode;
    },
  };
}

/** Runs an example that ends by itself; resolves with what it printed and its exit code. */
export async function runProgram(
  name: string,
  env: Record<string, string> = {},
): Promise<{ output: string; code: number | null }> {
  const path = fileURLToPath(new URL(`./${name}/dist/main.js`, import.meta.url));
  const child = spawn(process.execPath, [path], { env: { ...process.env, ...env } });
  const text = collect(child);
  const [code] = (await once(child, "close")) as [number | null];
  return { output: text.all(), code };
}

/** A port of the loopback that nobody listens on, for a program that cannot be told to take any. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

interface Output {
  all(): string;
  match(pattern: RegExp): Promise<RegExpExecArray>;
}

function collect(child: ChildProcess): Output {
  let text = "";
  let ended = false;
  const checks = new Set<() => void>();
  const look = () => {
    for (const check of checks) check();
  };
  const take = (chunk: Buffer) => {
    text += chunk;
    look();
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  child.once("close", () => {
    ended = true;
    look();
  });
  return {
    all: () => text,
    match: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const match = pattern.exec(text);
          if (match === null && !ended) return;
          checks.delete(check);
          if (match === null) reject(new Error(`the program ended without printing ${pattern}: ${text}`));
          else resolve(match);
        };
        checks.add(check);
        check();
      }),
  };
}
