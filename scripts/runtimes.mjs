// Other JavaScript runtimes, taken from the npm registry into a cache inside node_modules: npm checks what it unpacks,
// and no script of theirs is run. Nothing is installed on the machine.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, Stop } from "./workspace.mjs";

const CACHE = join(root, "node_modules", ".cache", "runtimes");

/** The package with the binary for this machine, and where the binary lies in it. */
const PACKAGES = {
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

/** Absolute path of the executable of `name` (`node`, `bun`, `deno`) in exactly that version. Throws Stop. */
export function runtime(name, version) {
  const [packageName, path] = PACKAGES[name]();
  const folder = join(CACHE, `${name}-${version}`);
  const executable = join(folder, "package", path);
  if (!existsSync(executable)) download(`${packageName}@${version}`, folder);
  if (!existsSync(executable)) throw new Stop(`${packageName}@${version} has no ${path}.`);
  return executable;
}

/** Unpacks beside the final place first, so that a download that broke off leaves nothing that looks whole. */
function download(specifier, folder) {
  console.log(`Fetching ${specifier} …`);
  mkdirSync(CACHE, { recursive: true });
  const place = mkdtempSync(join(CACHE, "download-"));
  try {
    command("npm", ["pack", specifier, "--pack-destination", place, "--loglevel=error"]);
    const tarball = readdirSync(place).find((file) => file.endsWith(".tgz"));
    command("tar", ["-xzf", join(place, tarball), "-C", place]);
    rmSync(join(place, tarball));
    rmSync(folder, { recursive: true, force: true });
    renameSync(place, folder);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function command(name, args) {
  const { status, stderr, error } = spawnSync(name, args, { encoding: "utf8" });
  if (status !== 0) throw new Stop(`${name} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
}
