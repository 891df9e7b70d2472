// What a package looks like to those who install it: packs each one, then publint (is the manifest right?) and
// are-the-types-wrong (do types and code resolve alike for every importer that is supported, which is ESM alone?).
// Also records the size of each tarball, and fails when one grows past its limit.

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, main, manifest, pack, prepare, runTool, Stop, workspaceFolders } from "./workspace.mjs";

/** Largest tarball, in bytes. A package that outgrows its limit has taken something in by accident. */
const MAX_TARBALL = 200 * 1024;

await main(async () => {
  await prepare();
  await build("./packages/*");
  const findings = [];
  for (const folder of workspaceFolders().filter((path) => path.startsWith("packages")))
    findings.push(...(await check(folder)));
  if (findings.length > 0) throw new Stop(findings.join("\n"));
});

async function check(folder) {
  const { name } = manifest(folder);
  const target = mkdtempSync(join(tmpdir(), "pack-"));
  try {
    if ((await pack(folder, target)) !== 0) return [`${name}: cannot be packed`];
    const tarball = join(
      target,
      readdirSync(target).find((file) => file.endsWith(".tgz")),
    );
    const size = statSync(tarball).size;
    console.log(`\n${name}: ${(size / 1024).toFixed(1)} KiB packed`);
    const findings = [];
    if (size > MAX_TARBALL) findings.push(`${name}: the tarball has ${size} bytes, more than ${MAX_TARBALL}`);
    if ((await runTool("publint", ["run", tarball, "--strict"])) !== 0)
      findings.push(`${name}: publint found a fault`);
    const types = ["--profile", "esm-only", "--format", "ascii", "--no-color", tarball];
    if ((await runTool("attw", types)) !== 0) findings.push(`${name}: are-the-types-wrong found a fault`);
    return findings;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}
