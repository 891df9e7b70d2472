// Runs the program of a README and uses it as its reader would: a server is called, a client has to end by itself. A free
// port replaces the one in the example, so that the check can run beside anything else.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";

const timeoutMs = 15_000;

/**
 * The exit code of the program, or the signal that ended it.
 *
 * @typedef {Promise<number | string | null>} Exit
 */

/**
 * Runs `out/<name>.js` in `folder`. Resolves with what went wrong, or undefined.
 *
 * @param {string} name
 * @param {string} folder
 * @returns {Promise<string | undefined>}
 */
export async function probe(name, folder) {
  const port = await freePort();
  const program = join(folder, "out", `${name}.js`);
  writeFileSync(program, withPort(readFileSync(program, "utf8"), port));
  const child = spawn(process.execPath, [program], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  /** @type {Exit} */
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  try {
    await probes[name]?.(port, exited);
    return undefined;
  } catch (error) {
    return `${messageOf(error)}; the program printed: ${output.trim() || "nothing"}`;
  } finally {
    child.kill("SIGKILL");
  }
}

/** @type {Record<string, (port: number, exited: Exit) => Promise<void>>} */
const probes = {
  /** An echo server: what is sent comes back. */
  async glisten(port, exited) {
    const answer = await retry(port, exited, () => say(port, "hello\n"));
    if (!answer.includes("hello")) throw new Error(`sent "hello", received ${JSON.stringify(answer)}`);
  },
  async mist(port, exited) {
    const response = await retry(port, exited, () => fetch(`http://localhost:${port}/`));
    const body = await response.text();
    if (response.status !== 200 || body.length === 0)
      throw new Error(`GET / answered ${response.status}: ${body}`);
  },
  async mug(_port, exited) {
    const code = await Promise.race([exited, after(timeoutMs).then(() => "still running")]);
    if (code !== 0) throw new Error(`it ended with ${code}`);
  },
};

/**
 * Replaces the example's one port, in `.start(3000)`, `.port(4000)`, or `port: 4000`.
 *
 * @param {string} code
 * @param {number} port
 */
function withPort(code, port) {
  const written = /(?:start|port)\(\s*(\d{2,5})\b|\bport:\s*(\d{2,5})\b/.exec(code);
  return written === null
    ? code
    : code.replaceAll(new RegExp(`\\b${written[1] ?? written[2]}\\b`, "g"), String(port));
}

/**
 * Tries until the program listens or has ended, or time is up.
 *
 * @template Result
 * @param {number} port
 * @param {Exit} exited
 * @param {() => Promise<Result>} attempt
 */
async function retry(port, exited, attempt) {
  const deadline = Date.now() + timeoutMs;
  /** @type {number | string | null | undefined} */
  let ended;
  exited.then((code) => (ended = code));
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (ended !== undefined) throw new Error(`it ended with ${ended}`);
      if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}: ${messageOf(error)}`);
      await after(50);
    }
  }
}

/**
 * @param {number} port
 * @param {string} text
 * @returns {Promise<string>}
 */
function say(port, text) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "localhost" }, () => socket.write(text));
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once("data", (chunk) => {
      socket.destroy();
      resolve(chunk.toString());
    });
    socket.once("error", reject);
  });
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "localhost", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
