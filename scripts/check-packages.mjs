// What a package looks like to those who install it: packs each one, then publint (is the manifest right?) and
// are-the-types-wrong (do types and code resolve alike for every importer that is supported, which is ESM alone?).
// The size of each, packed and unpacked, is recorded in sizes.json: `--record` writes it, and without that the check
// fails when a package has grown by more than a tenth, so that growth is somebody's decision and shows in review.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, main, manifest, pack, prepare, root, runTool, Stop, workspaceFolders } from "./workspace.mjs";

/** How much larger than recorded a package may be. */
const MAX_GROWTH = 1.1;

const RECORD = join(root, "scripts", "sizes.json");
const record = process.argv.includes("--record");
const recorded = JSON.parse(readFileSync(RECORD, "utf8"));
const measured = {};

await main(async () => {
  await prepare();
  await build("./packages/*");
  const findings = [];
  for (const folder of workspaceFolders().filter((path) => path.startsWith("packages")))
    findings.push(...(await check(folder)));
  if (record) writeFileSync(RECORD, `${JSON.stringify(measured, null, 2)}\n`);
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
    console.log(`\n${name}`);
    const findings = record ? recordSizes(name, tarball) : compareSizes(name, tarball);
    if ((await runTool("publint", ["run", tarball, "--strict"])) !== 0)
      findings.push(`${name}: publint found a fault`);
    const types = ["--profile", "esm-only", "--format", "ascii", "--no-color", tarball];
    if ((await runTool("attw", types)) !== 0) findings.push(`${name}: are-the-types-wrong found a fault`);
    return findings;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

function recordSizes(name, tarball) {
  measured[name] = sizesOf(tarball);
  console.log(measured[name]);
  return [];
}

function compareSizes(name, tarball) {
  const findings = [];
  for (const [kind, size] of Object.entries(sizesOf(tarball))) {
    const before = recorded[name]?.[kind];
    console.log(`${kind}: ${size} bytes, recorded ${before ?? "nothing"}`);
    if (before === undefined) findings.push(`${name}: no ${kind} size is recorded`);
    else if (size > before * MAX_GROWTH)
      findings.push(
        `${name}: ${size} bytes ${kind}, ${before} are recorded. Wanted? Then run \`pnpm run packages --record\`.`,
      );
  }
  return findings;
}

/** Bytes of the tarball, and of the files in it. */
function sizesOf(tarball) {
  const { status, stdout } = spawnSync("tar", ["-xzOf", tarball], { maxBuffer: 1 << 28 });
  if (status !== 0) throw new Stop(`${tarball} cannot be unpacked`);
  return { packed: statSync(tarball).size, unpacked: stdout.length };
}
