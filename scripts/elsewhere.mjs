// `pnpm elsewhere [words of a check's name]`: a smoke run of the packed packages on Bun and Deno, and on Node.js to tell
// a fault of the program from one of a runtime. What is known not to hold stands below and in the READMEs; the run fails
// when something else does not hold, and when something on the list does.

import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runtime } from "./runtimes.mjs";
import { build, main, pack, prepare, root, run, Stop } from "./workspace.mjs";

const RUNTIMES = {
  node: { version: process.versions.node, command: () => [process.execPath], known: [] },
  bun: {
    version: "1.4.5",
    command: () => [runtime("bun", "1.4.5"), "run"],
    // Its tls.Server does not take connections that are handed to it, so no handshake is ever answered.
    known: ["glisten: echo over TLS", "glisten: client certificates", "mist: over TLS"],
  },
  deno: { version: "2.9.6", command: () => [runtime("deno", "2.9.6"), "run", "--allow-all"], known: [] },
};

await main(async () => {
  await prepare();
  await build("./packages/*");
  const place = mkdtempSync(join(tmpdir(), "elsewhere-"));
  try {
    await installTarballs(place);
    const surprises = [];
    for (const name of Object.keys(RUNTIMES)) surprises.push(...(await smoke(name, place)));
    if (surprises.length > 0) throw new Stop(surprises.join("\n"));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

async function installTarballs(place) {
  const dependencies = {};
  for (const name of ["glisten", "mist", "mug"]) {
    const target = join(place, "tarballs", name);
    mkdirSync(target, { recursive: true });
    if ((await pack(join("packages", name), target)) !== 0) throw new Stop(`@x/${name} cannot be packed`);
    dependencies[`@x/${name}`] = `file:${join(target, readdirSync(target)[0])}`;
  }
  const overrides = { "@x/glisten": "$@x/glisten" };
  writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module", dependencies, overrides }));
  const quietly = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
  if ((await run("npm", quietly, { cwd: place })) !== 0) throw new Stop("the tarballs cannot be installed");
  copyFileSync(join(root, "scripts", "elsewhere-program.mjs"), join(place, "program.mjs"));
  const certificate = [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=localhost",
    "-days",
    "2",
  ];
  const files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"];
  const silent = { cwd: place, stdio: "ignore" };
  if ((await run("openssl", [...certificate, ...files], silent)) !== 0) throw new Stop("openssl is needed");
}

/** Runs the program in one runtime; resolves with what was not expected. */
async function smoke(name, place) {
  const { version, command, known } = RUNTIMES[name];
  const [executable, ...args] = command();
  console.log(`\n--- ${name} ${version}`);
  const options = { cwd: place, stdio: ["ignore", "pipe", "inherit"] };
  const child = spawn(executable, [...args, "program.mjs", ...process.argv.slice(2)], options);
  const ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(signal ?? code)));
  const surprises = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{"check"')) {
      console.log(line);
      continue;
    }
    const { check, problem } = JSON.parse(line);
    const mark = problem === null ? "ok  " : known.includes(check) ? "no  " : "FAIL";
    console.log(`${mark} ${check}${problem === null ? "" : `: ${problem}`}`);
    if (problem === null && known.includes(check)) surprises.push(`${name}: "${check}" does hold, say so`);
    if (problem !== null && !known.includes(check))
      surprises.push(`${name}: "${check}" does not hold: ${problem}`);
  }
  const code = await ended;
  if (code !== 0) surprises.push(`${name}: the program ended with ${code}`);
  return surprises;
}
