// Publishes every package whose version the registry does not have: packs it and publishes the tarball with npm, which
// attests its origin (trusted publishing, provenance). The release workflow runs it.
//
// `--dry-run` cuts the next version from the changesets of the last commit, in a copy of the repository: versions,
// changelogs, tarballs. It publishes nothing, asks no registry for versions, and changes nothing here.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { isAddressKnown, lacking, pack, repositoryUrl } from "./pack.mjs";
import { runtime } from "./runtimes.mjs";
import { build, main, manifest, prepare, root, run, Stop, workspaceFolders } from "./workspace.mjs";

const changesets = "@changesets/cli@3.0.3";
const nodeForChangesets = "24.21.0";

/** glisten before mist, so that nobody can install a mist whose glisten is not published. */
const order = ["packages/mug", "packages/glisten", "packages/mist"];

await main(async () => {
  await prepare();
  const folders = workspaceFolders().filter((folder) => folder.startsWith("packages"));
  const forgotten = folders.filter((folder) => !order.includes(folder));
  if (forgotten.length > 0) throw new Stop(`The publishing order lacks ${forgotten.join(", ")}.`);
  await build("./packages/*");
  if (process.argv.includes("--dry-run")) return cutVersion();
  if (!isAddressKnown)
    throw new Stop(`Publish from the release workflow: ${repositoryUrl} is a placeholder.`);
  for (const folder of order) await publish(folder);
  if ((await run("npx", ["--yes", changesets, "tag"])) !== 0) throw new Stop("The tags could not be set.");
});

/** @param {string} folder */
async function publish(folder) {
  const { name, version } = manifest(folder);
  if (version === "0.0.0" || isPublished(name, version))
    return console.log(`${name}@${version}: nothing to publish`);
  const target = mkdtempSync(join(tmpdir(), "release-"));
  try {
    const tarball = await pack(folder, target);
    const findings = lacking(folder, tarball);
    if (findings.length > 0) throw new Stop(findings.join("\n"));
    if ((await run("npm", ["publish", tarball, "--access", "public", "--provenance"])) !== 0)
      throw new Stop(`${name}@${version} was not published.`);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

/**
 * @param {string} name
 * @param {string} version
 */
function isPublished(name, version) {
  const { status, stdout } = spawnSync("npm", ["view", `${name}@${version}`, "version"], {
    encoding: "utf8",
  });
  return status === 0 && stdout.trim() === version;
}

/** Cuts the version that is due, in a copy of the repository. */
async function cutVersion() {
  const place = mkdtempSync(join(tmpdir(), "release-"));
  const copy = join(place, "repository");
  try {
    if ((await run("git", ["clone", "--quiet", root, copy])) !== 0)
      throw new Stop("The repository cannot be copied.");
    if ((await run("npx", ["--yes", changesets, "version"], { cwd: copy, env: withNewNode() })) !== 0)
      throw new Stop("The versions cannot be set.");
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const findings = [];
    for (const folder of order) {
      for (const part of ["dist", "node_modules"])
        cpSync(join(root, folder, part), join(copy, folder, part), {
          recursive: true,
          verbatimSymlinks: true,
        });
      const tarball = await pack(folder, join(place, "tarballs", folder), copy);
      const { name, version } = manifest(folder, copy);
      console.log(`${name}: ${manifest(folder).version} → ${version}`);
      findings.push(...lacking(folder, tarball));
      if (version === "0.0.0") findings.push(`${name}: no changeset gives it a version`);
    }
    if (findings.length > 0) throw new Stop(findings.join("\n"));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** The environment in which `node` is one that runs changesets. */
function withNewNode() {
  if (Number(process.versions.node.split(".")[0]) >= 22) return process.env;
  const folder = dirname(runtime("node", nodeForChangesets));
  return { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"]}` };
}
