// Runs the Autobahn test suite against mist's WebSocket: pnpm conformance:autobahn [--http2] [CASE …]
//
// With `--http2` the suite, which speaks HTTP/1.1, is led over HTTP/2 (RFC 8441) by bridge.mjs.
//
// Runs the service `autobahn` of docker-compose.yml with Docker, or a local `wstest` that AUTOBAHN_WSTEST names. CASEs such
// as `6.*` restrict the run; a full run must have all 517 cases. The suite's report stays in
// packages/mist/conformance/reports (index.html). The suite's exit code does not tell success: its index does.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const expectedCases = 517;
const passing = new Set(["OK", "NON-STRICT", "INFORMATIONAL"]);

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");
const reports = join(here, "reports");
const wstest = process.env.AUTOBAHN_WSTEST;
const http2 = process.argv[2] === "--http2";
const chosen = process.argv.slice(http2 ? 3 : 2);

const spec = JSON.parse(readFileSync(join(here, "fuzzingclient.json"), "utf8"));
const port = new URL(spec.servers[0].url).port;

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const programs = [];
try {
  if (http2) {
    const behind = String(Number(port) + 1);
    programs.push(await startProgram("server.mjs", behind));
    programs.push(await startProgram("bridge.mjs", port, `http://127.0.0.1:${behind}`));
  } else programs.push(await startProgram("server.mjs", port));
  await (wstest === undefined ? runDocker() : runLocally(wstest));
} finally {
  for (const program of programs) program.kill("SIGTERM");
}
process.exitCode = judge() ? 0 : 1;

/**
 * @param {string} name
 * @param {string[]} args
 */
async function startProgram(name, ...args) {
  const child = spawn(process.execPath, [join(here, name), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((/** @type {(value?: undefined) => void} */ resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} exited with ${code}; is the package built?`)));
    child.stdout.on("data", (chunk) => {
      if (chunk.toString().includes("Listening on")) resolve();
    });
  });
  return child;
}

function runDocker() {
  const args = ["compose", "--file", join(root, "docker-compose.yml"), "run", "--rm", "autobahn"];
  return run("docker", args, { AUTOBAHN_CONFIG: writeSpec("/reports") });
}

/** @param {string} command */
function runLocally(command) {
  return run(command, ["-m", "fuzzingclient", "-s", join(writeSpec(reports), "fuzzingclient.json")]);
}

/**
 * Writes the spec with the chosen cases and the folder of the reports; returns the folder it is in.
 *
 * @param {string} outdir
 */
function writeSpec(outdir) {
  const folder = mkdtempSync(join(tmpdir(), "autobahn-"));
  const own = { ...spec, outdir, cases: chosen.length > 0 ? chosen : spec.cases };
  writeFileSync(join(folder, "fuzzingclient.json"), JSON.stringify(own, null, 2));
  return folder;
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Promise<void>}
 */
function run(command, args, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...environment } });
    child.once("error", (error) => {
      const hint = wstest === undefined ? "; without Docker, set AUTOBAHN_WSTEST to a local wstest" : "";
      reject(new Error(`cannot start ${command} (${error.message})${hint}`));
    });
    child.once("exit", () => resolve());
  });
}

function judge() {
  const index = JSON.parse(readFileSync(join(reports, "index.json"), "utf8"));
  /** @type {Record<string, { behavior: string, behaviorClose: string }>} */
  const results = index.mist ?? {};
  const cases = Object.entries(results);
  /** @type {Record<string, number>} */
  const counts = {};
  const bad = [];
  for (const [name, result] of cases) {
    counts[result.behavior] = (counts[result.behavior] ?? 0) + 1;
    if (!passing.has(result.behavior) || !passing.has(result.behaviorClose)) {
      bad.push(`  ${name}: ${result.behavior}, close ${result.behaviorClose}`);
    } else if (result.behavior === "NON-STRICT") {
      console.log(`  ${name}: NON-STRICT`);
    }
  }
  const summary = Object.entries(counts).map(([behavior, count]) => `${count} ${behavior}`);
  console.log(`Autobahn: ${cases.length} cases: ${summary.join(", ")}`);
  if (bad.length > 0) console.log(`Failed:\n${bad.join("\n")}`);
  const whole = chosen.length > 0 || cases.length === expectedCases;
  if (!whole) console.log(`Expected ${expectedCases} cases.`);
  return bad.length === 0 && whole && cases.length > 0;
}
