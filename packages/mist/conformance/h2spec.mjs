// Runs h2spec against mist's HTTP/2, over cleartext and over TLS: pnpm conformance:h2spec [SECTION …]
//
// With Docker it runs the service `h2spec` of docker-compose.yml. Without, H2SPEC names a local `h2spec`. SECTIONs such as
// `http2/5.1` restrict the run; a whole run must pass all 147 cases, none skipped, in strict mode.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const expectedCases = 147;

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");
const local = process.env.H2SPEC;
const chosen = process.argv.slice(2);

const folder = mkdtempSync(join(tmpdir(), "h2spec-"));
let passed = true;
try {
  for (const tls of [false, true]) passed = (await judge(tls)) && passed;
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = passed ? 0 : 1;

/** @param {boolean} tls */
async function judge(tls) {
  const port = await freePort();
  const server = await startServer(port, tls ? ["tls", ...makeCertificate()] : []);
  try {
    const output = await runSuite([
      "-h",
      "127.0.0.1",
      "-p",
      port,
      "--strict",
      ...(tls ? ["-t", "-k"] : []),
      ...chosen,
    ]);
    const [, ...counts] = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output) ?? [];
    const [cases = 0, ok = 0] = counts.map(Number);
    const whole = chosen.length > 0 ? cases > 0 : cases === expectedCases;
    if (ok !== cases || !whole) console.log(output);
    console.log(
      `h2spec ${tls ? "over TLS" : "cleartext"}: ${ok} of ${whole ? cases : expectedCases} cases passed`,
    );
    return ok === cases && whole;
  } finally {
    server.kill("SIGTERM");
  }
}

function makeCertificate() {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const args = [
    "req",
    "-x509",
    ...curve,
    "-subj",
    "/CN=localhost",
    "-days",
    "2",
    "-keyout",
    key,
    "-out",
    cert,
  ];
  execFileSync("openssl", args, { stdio: "ignore" });
  return [cert, key];
}

/** @returns {Promise<string>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
      probe.close(() => resolve(String(port)));
    });
  });
}

/**
 * @param {string} port
 * @param {readonly string[]} args
 */
async function startServer(port, args) {
  const child = spawn(process.execPath, [join(here, "server.mjs"), port, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      child.once("exit", (code) =>
        reject(new Error(`the server ended with ${code}; has the package been built?`)),
      );
      child.stdout.on("data", (chunk) => {
        if (chunk.toString().includes("Listening on")) resolve();
      });
    })
  );
  return child;
}

/**
 * @param {readonly string[]} args
 * @returns {Promise<string>}
 */
function runSuite(args) {
  const compose = ["compose", "--file", join(root, "docker-compose.yml"), "run", "--rm", "h2spec"];
  const [command, before] = local === undefined ? ["docker", compose] : [local, []];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...before, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.once("error", (error) => {
      const hint = local === undefined ? "; without Docker, name a local h2spec with H2SPEC" : "";
      reject(new Error(`${command} could not be started (${error.message})${hint}`));
    });
    child.once("close", () => resolve(output));
  });
}
