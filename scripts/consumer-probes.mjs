// Runs a README's program and meets it as its reader would: a server is called, a client has to end by itself.
// The port written in the example is exchanged for a free one, so that the check runs beside anything else.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";

const PATIENCE_MS = 15_000;

/** Runs `out/<name>.js` in `folder`. Resolves with what went wrong, or undefined. */
export async function probe(name, folder) {
  const port = await freePort();
  const program = join(folder, "out", `${name}.js`);
  writeFileSync(program, withPort(readFileSync(program, "utf8"), port));
  const child = spawn(process.execPath, [program], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  try {
    await PROBES[name](port, exited);
    return undefined;
  } catch (error) {
    return `${error.message}; the program said: ${output.trim() || "nothing"}`;
  } finally {
    child.kill("SIGKILL");
  }
}

const PROBES = {
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
    const code = await Promise.race([exited, after(PATIENCE_MS).then(() => "still running")]);
    if (code !== 0) throw new Error(`ended with ${code}`);
  },
};

/** Exchanges the example's one port, wherever it stands: `.start(3000)`, `.port(4000)`, `port: 4000`. */
function withPort(code, port) {
  const written = /(?:start|port)\(\s*(\d{2,5})\b|\bport:\s*(\d{2,5})\b/.exec(code);
  return written === null
    ? code
    : code.replaceAll(new RegExp(`\\b${written[1] ?? written[2]}\\b`, "g"), String(port));
}

/** Tries until the program listens, has ended, or patience is over. */
async function retry(port, exited, attempt) {
  const deadline = Date.now() + PATIENCE_MS;
  let ended;
  exited.then((code) => (ended = code));
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (ended !== undefined) throw new Error(`ended with ${ended}`);
      if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}: ${error.message}`);
      await after(50);
    }
  }
}

function say(port, text) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "localhost" }, () => socket.write(text));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer in time")));
    socket.once("data", (chunk) => {
      socket.destroy();
      resolve(chunk.toString());
    });
    socket.once("error", reject);
  });
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "localhost", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function after(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
