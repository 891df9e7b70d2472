// Other JavaScript runtimes, fetched from the npm registry into a cache in node_modules: npm verifies the tarballs, none of
// their scripts runs, and nothing is installed on the machine.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, Stop } from "./workspace.mjs";

const cache = join(root, "node_modules", ".cache", "runtimes");

/** @typedef {[packageName: string, path: string]} Binary */

/**
 * The package with the binary for this machine, and the path of the binary in it.
 *
 * @type {Record<"node" | "bun" | "deno", () => Binary>}
 */
const packages = {
  node: () => [`node-${process.platform}-${process.arch}`, "bin/node"],
  bun: () => [
    `@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`,
    "bin/bun",
  ],
  deno: () => [
    `@deno/${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`,
    "deno",
  ],
};

/**
 * Absolute path of the executable of a runtime in exactly that version; throws a Stop if there is none.
 *
 * @param {keyof typeof packages} name
 * @param {string} version
 */
export function runtime(name, version) {
  const [packageName, path] = packages[name]();
  const folder = join(cache, `${name}-${version}`);
  const executable = join(folder, "package", path);
  if (!existsSync(executable)) download(`${packageName}@${version}`, folder);
  if (!existsSync(executable)) throw new Stop(`${packageName}@${version} has no ${path}.`);
  return executable;
}

/**
 * Unpacks in a temporary folder first, so that an interrupted download leaves nothing that looks complete.
 *
 * @param {string} specifier
 * @param {string} folder
 */
function download(specifier, folder) {
  console.log(`Fetching ${specifier} …`);
  mkdirSync(cache, { recursive: true });
  const place = mkdtempSync(join(cache, "download-"));
  try {
    command("npm", ["pack", specifier, "--pack-destination", place, "--loglevel=error"]);
    const tarball = readdirSync(place).find((file) => file.endsWith(".tgz"));
    if (tarball === undefined) throw new Stop(`npm packed nothing for ${specifier}.`);
    command("tar", ["-xzf", join(place, tarball), "-C", place]);
    rmSync(join(place, tarball));
    rmSync(folder, { recursive: true, force: true });
    renameSync(place, folder);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/**
 * @param {string} name
 * @param {string[]} args
 */
function command(name, args) {
  const { status, stderr, error } = spawnSync(name, args, { encoding: "utf8" });
  if (status !== 0) throw new Stop(`${name} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
}
