// `pnpm elsewhere`: a smoke run of the packed packages on Bun and Deno, and on Node.js to tell a fault of the tests from
// one of a runtime. The tests use `node:test`, and each runtime's own test command runs them.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "./pack.mjs";
import { runtime } from "./runtimes.mjs";
import { build, main, prepare, root, run, Stop } from "./workspace.mjs";

/**
 * How each runtime runs tests, and how it runs a program.
 *
 * @typedef {{ version: string, executable: () => string, test: string[], run: string[] }} Runtime
 */

/** @type {Record<string, Runtime>} */
const runtimes = {
  node: {
    version: process.versions.node,
    executable: () => process.execPath,
    test: ["--test", "--test-reporter=spec"],
    run: [],
  },
  bun: { version: "1.4.5", executable: () => runtime("bun", "1.4.5"), test: ["test"], run: ["run"] },
  deno: {
    version: "2.9.6",
    executable: () => runtime("deno", "2.9.6"),
    test: ["test", "--allow-all", "--no-check"],
    run: ["run", "--allow-all"],
  },
};

await main(async () => {
  await prepare();
  await build("./packages/*");
  const place = mkdtempSync(join(tmpdir(), "elsewhere-"));
  try {
    await installTarballs(place);
    const failed = [];
    for (const [name, runtime] of Object.entries(runtimes))
      if (!(await smoke(name, runtime, place))) failed.push(name);
    if (failed.length > 0) throw new Stop(`The smoke run failed on ${failed.join(" and ")}.`);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

/** @param {string} place */
async function installTarballs(place) {
  /** @type {Record<string, string>} */
  const dependencies = {};
  for (const name of ["glisten", "mist", "mug"]) {
    const tarball = await pack(join("packages", name), join(place, "tarballs", name));
    dependencies[`@x/${name}`] = `file:${tarball}`;
  }
  const overrides = { "@x/glisten": "$@x/glisten" };
  writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module", dependencies, overrides }));
  const quietly = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
  if ((await run("npm", quietly, { cwd: place })) !== 0) throw new Stop("The tarballs cannot be installed.");
  cpSync(join(root, "scripts", "elsewhere"), place, { recursive: true });
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
  const silent = { cwd: place, stdio: /** @type {const} */ ("ignore") };
  if ((await run("openssl", [...certificate, ...files], silent)) !== 0)
    throw new Stop("openssl is required.");
}

/**
 * Runs the tests in one runtime; resolves with whether they passed.
 *
 * @param {string} name
 * @param {Runtime} runtime
 * @param {string} place
 */
async function smoke(name, { version, executable, test, run: program }, place) {
  console.log(`\n--- ${name} ${version}`);
  const env = { ...process.env, RUN: JSON.stringify([executable(), ...program]) };
  return (await run(executable(), [...test, "smoke.test.mjs"], { cwd: place, env })) === 0;
}
