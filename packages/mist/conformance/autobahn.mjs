// Runs the Autobahn test suite against mist's WebSocket: pnpm conformance:autobahn [CASE …]
//
// With Docker it runs the service `autobahn` of docker-compose.yml. Without, AUTOBAHN_WSTEST names a local `wstest`.
// CASEs such as `6.*` restrict the run; a whole run must have all 517 cases. What the suite writes is left in
// packages/mist/conformance/reports (index.html). The suite's own exit code says nothing: its index is read.

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
const chosen = process.argv.slice(2);

const spec = JSON.parse(readFileSync(join(here, "fuzzingclient.json"), "utf8"));
const port = new URL(spec.servers[0].url).port;

rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const server = await startServer();
try {
  await (wstest === undefined ? runDocker() : runLocally(wstest));
} finally {
  server.kill("SIGTERM");
}
process.exitCode = judge() ? 0 : 1;

async function startServer() {
  const child = spawn(process.execPath, [join(here, "server.mjs"), port], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve, reject) => {
    child.once("exit", (code) =>
      reject(new Error(`the server ended with ${code}; has the package been built?`)),
    );
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

function runLocally(command) {
  return run(command, ["-m", "fuzzingclient", "-s", join(writeSpec(reports), "fuzzingclient.json")]);
}

/** The spec with the cases chosen and the place for the reports; returns its folder. */
function writeSpec(outdir) {
  const folder = mkdtempSync(join(tmpdir(), "autobahn-"));
  const own = { ...spec, outdir, cases: chosen.length > 0 ? chosen : spec.cases };
  writeFileSync(join(folder, "fuzzingclient.json"), JSON.stringify(own, null, 2));
  return folder;
}

function run(command, args, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...environment } });
    child.once("error", (error) => {
      const hint = wstest === undefined ? "; without Docker, name a local wstest with AUTOBAHN_WSTEST" : "";
      reject(new Error(`${command} could not be started (${error.message})${hint}`));
    });
    child.once("exit", () => resolve());
  });
}

function judge() {
  const index = JSON.parse(readFileSync(join(reports, "index.json"), "utf8"));
  const cases = Object.entries(index.mist ?? {});
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
  if (bad.length > 0) console.log(`Not passed:\n${bad.join("\n")}`);
  const whole = chosen.length > 0 || cases.length === expectedCases;
  if (!whole) console.log(`There should be ${expectedCases} cases.`);
  return bad.length === 0 && whole && cases.length > 0;
}
