// The workspace as its scripts see it: where it is, whether it is ready to run, and how to make it so.
//
// pnpm runs `install` before `start` and `test` by itself (verifyDepsBeforeRun), but a failed install only
// warns and the script runs anyway. So the scripts look for themselves and stop with one clear line.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The pnpm that the README names; used when a script was started without pnpm. */
const PNPM = "pnpm@12.21.0";

const OLDEST_NODE = [20, 19];

/** A reason to stop that the user can act on: printed as one line, without a stack. */
export class Stop extends Error {}

/** Runs a script's body; a Stop becomes one line on stderr and exit code 1. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}

/** Folders of every workspace package: `packages/*` and `examples/*`. */
export function workspaceFolders() {
  return ["packages", "examples"].flatMap((parent) =>
    readdirSync(join(root, parent), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, parent, entry.name, "package.json")))
      .map((entry) => join(parent, entry.name)),
  );
}

export function manifest(folder) {
  return JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
}

/** Runs a program in the repository with its output shown; resolves with its exit code. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(signal === null ? code : 1));
  });
}

/** Runs a program installed in the workspace, such as `vitest` or `publint`. */
export function runTool(name, args, options) {
  return run(join(root, "node_modules", ".bin", name), args, options);
}

/** Runs pnpm: the one this script was started by, or else the one the README names. */
export function runPnpm(args, options) {
  const [command, ...first] = pnpmCommand();
  return run(command, [...first, ...args], options);
}

export function pnpmCommand() {
  const executable = process.env.npm_execpath ?? "";
  if (!/^pnpm(\.[cm]?js|\.exe)?$/.test(basename(executable)) || !existsSync(executable))
    return ["npx", "--yes", PNPM];
  return /\.[cm]?js$/.test(executable) ? [process.execPath, executable] : [executable];
}

/** Checks Node, and installs what the lockfile asks for when it is not there. Throws Stop when it cannot. */
export async function prepare() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new Stop(`Node.js ${OLDEST_NODE.join(".")} or newer is needed; this is ${process.versions.node}.`);
  if (missing() === undefined) return;
  console.log("Installing dependencies …");
  // Started by pnpm, its own install has just failed with all its patience: this second try only says why.
  const patience = process.env.npm_lifecycle_event === undefined ? {} : { pnpm_config_fetch_retries: "0" };
  const code = await runPnpm(["install", "--frozen-lockfile"], { env: { ...process.env, ...patience } });
  if (code !== 0)
    throw new Stop(`Installing the dependencies failed (exit code ${code}); see the lines above.`);
  const still = missing();
  if (still !== undefined) throw new Stop(`The dependencies are not complete after the install: ${still}.`);
}

/** What keeps the workspace from running, or undefined. pnpm keeps a copy of the lockfile it installed from. */
function missing() {
  const installed = join(root, "node_modules", ".pnpm", "lock.yaml");
  if (!existsSync(installed)) return "nothing is installed";
  if (!readFileSync(installed).equals(readFileSync(join(root, "pnpm-lock.yaml"))))
    return "what is installed is not what pnpm-lock.yaml says";
  for (const folder of [".", ...workspaceFolders()]) {
    const { dependencies = {}, devDependencies = {} } = manifest(folder);
    for (const name of Object.keys({ ...dependencies, ...devDependencies }))
      if (!existsSync(join(root, folder, "node_modules", name, "package.json")))
        return `${folder} lacks ${name}`;
  }
  return undefined;
}

/** Builds packages and what they depend on, in order. `filters` as turbo takes them; none means everything. */
export async function build(...filters) {
  // Through pnpm, because turbo looks for pnpm on the PATH, where npx alone has put it.
  const args = ["exec", "turbo", "run", "build", "--output-logs=errors-only"];
  const code = await runPnpm([...args, ...filters.map((filter) => `--filter=${filter}`)], {
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
  });
  if (code !== 0) throw new Stop(`The build failed (exit code ${code}); see the lines above.`);
}

/** `pnpm pack` as for publishing: `workspace:` ranges become versions, publishConfig's exports stand. */
export function pack(folder, target) {
  return runPnpm(["pack", "--pack-destination", target], {
    cwd: join(root, folder),
    stdio: ["ignore", "ignore", "inherit"],
  });
}
