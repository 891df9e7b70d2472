// Publishes every package whose version the registry does not have: packs with pnpm, which replaces `workspace:` by
// versions, and publishes the tarball with npm, which attests its origin (trusted publishing, provenance). The release
// workflow runs it; `--dry-run` shows what would be published.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, main, manifest, pack, prepare, run, Stop, workspaceFolders } from "./workspace.mjs";

const dryRun = process.argv.includes("--dry-run");

/** glisten before mist, so that nobody can install a mist whose glisten is not published. */
const order = ["packages/mug", "packages/glisten", "packages/mist"];

await main(async () => {
  await prepare();
  const folders = workspaceFolders().filter((folder) => folder.startsWith("packages"));
  const forgotten = folders.filter((folder) => !order.includes(folder));
  if (forgotten.length > 0) throw new Stop(`The publishing order lacks ${forgotten.join(", ")}.`);
  await build("./packages/*");
  for (const folder of order) await publish(folder);
  if (!dryRun && (await run("npx", ["--yes", "@changesets/cli@3.0.3", "tag"])) !== 0)
    throw new Stop("The tags could not be set.");
});

/** @param {string} folder */
async function publish(folder) {
  const { name, version } = manifest(folder);
  if (version === "0.0.0" || isPublished(name, version))
    return console.log(`${name}@${version}: nothing to publish`);
  const target = mkdtempSync(join(tmpdir(), "release-"));
  try {
    const args = ["publish", await pack(folder, target), "--access", "public"];
    const code = await run("npm", dryRun ? [...args, "--dry-run"] : [...args, "--provenance"]);
    if (code !== 0) throw new Stop(`${name}@${version} was not published.`);
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
