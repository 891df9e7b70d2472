// The workspace as its scripts see it: where it is, whether it is ready to run, and how to make it ready.
//
// pnpm itself installs before `start` and `test` (verifyDepsBeforeRun), but a failed install only warns and the script
// runs anyway. Hence the scripts check for themselves and stop with one clear line.

/** @import { SpawnOptions } from "node:child_process" */

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * What the scripts read of a package.json.
 *
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} version
 * @property {string[]} [files]
 * @property {Record<string, string | { types: string, default: string }>} exports
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [devDependencies]
 * @property {Record<string, string>} [peerDependencies]
 */

/** Absolute path of the repository. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The pnpm that the README names, for scripts that were started without pnpm. */
const pnpmVersion = "pnpm@12.21.0";

/** The oldest Node.js that works. */
const oldest = { major: 20, minor: 19 };

/** An error that the user can act on: printed as one line, without a stack. */
export class Stop extends Error {}

/**
 * Runs the body of a script; a Stop becomes one line on stderr and exit code 1.
 *
 * @param {() => Promise<void>} body
 */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}

/** The folders of the workspace's packages and examples. */
export function workspaceFolders() {
  return ["packages", "examples"].flatMap((parent) =>
    readdirSync(join(root, parent), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, parent, entry.name, "package.json")))
      .map((entry) => join(parent, entry.name)),
  );
}

/**
 * @param {string} folder
 * @param {string} [repository] a copy of this one
 * @returns {Manifest}
 */
export function manifest(folder, repository = root) {
  return JSON.parse(readFileSync(join(repository, folder, "package.json"), "utf8"));
}

/**
 * Runs a program in the repository and shows its output; resolves with its exit code.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {SpawnOptions} options
 * @returns {Promise<number | null>}
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(signal === null ? code : 1));
  });
}

/**
 * Runs a program that is installed in the workspace, such as `publint`.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {SpawnOptions} [options]
 */
export function runTool(name, args, options) {
  return run(join(root, "node_modules", ".bin", name), args, options);
}

/**
 * Runs the pnpm that started this script, or else the one that the README names.
 *
 * @param {string[]} args
 * @param {SpawnOptions} [options]
 */
export function runPnpm(args, options) {
  const [command, ...first] = pnpmCommand();
  return run(command, [...first, ...args], options);
}

/** @returns {[command: string, ...args: string[]]} */
function pnpmCommand() {
  const executable = process.env.npm_execpath ?? "";
  if (!/^pnpm(\.[cm]?js|\.exe)?$/.test(basename(executable)) || !existsSync(executable))
    return ["npx", "--yes", pnpmVersion];
  return /\.[cm]?js$/.test(executable) ? [process.execPath, executable] : [executable];
}

/** Checks the version of Node.js and installs missing dependencies; throws a Stop if it cannot. */
export async function prepare() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < oldest.major || (major === oldest.major && minor < oldest.minor))
    throw new Stop(
      `Node.js ${oldest.major}.${oldest.minor} or newer is required; this is ${process.versions.node}.`,
    );
  if (missing() === undefined) return;
  console.log("Installing dependencies …");
  // Under pnpm, its own install has just failed after all of its retries; this one only shows why.
  const retries = process.env.npm_lifecycle_event === undefined ? {} : { pnpm_config_fetch_retries: "0" };
  const code = await runPnpm(["install", "--frozen-lockfile"], { env: { ...process.env, ...retries } });
  if (code !== 0)
    throw new Stop(`Installing the dependencies failed (exit code ${code}); see the lines above.`);
  const still = missing();
  if (still !== undefined)
    throw new Stop(`The dependencies are still incomplete after the install: ${still}.`);
}

/** What is missing, or undefined. pnpm keeps a copy of the lockfile that it installed from. */
function missing() {
  const installed = join(root, "node_modules", ".pnpm", "lock.yaml");
  if (!existsSync(installed)) return "nothing is installed";
  if (!readFileSync(installed).equals(readFileSync(join(root, "pnpm-lock.yaml"))))
    return "what is installed differs from pnpm-lock.yaml";
  for (const folder of [".", ...workspaceFolders()]) {
    const { dependencies = {}, devDependencies = {} } = manifest(folder);
    for (const name of Object.keys({ ...dependencies, ...devDependencies }))
      if (!existsSync(join(root, folder, "node_modules", name, "package.json")))
        return `${folder} lacks ${name}`;
  }
  return undefined;
}

/**
 * Builds packages and what they depend on.
 *
 * @param {...string} filters as turbo takes them; none means everything
 */
export async function build(...filters) {
  // Through pnpm, because turbo looks for it on the PATH, where only npx has put it.
  const args = ["exec", "turbo", "run", "build", "--output-logs=errors-only"];
  const code = await runPnpm([...args, ...filters.map((filter) => `--filter=${filter}`)], {
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
  });
  if (code !== 0) throw new Stop(`The build failed (exit code ${code}); see the lines above.`);
}
