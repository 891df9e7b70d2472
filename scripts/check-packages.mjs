// Checks packages as users install them: packs each one and runs publint (is the manifest right?) and are-the-types-wrong
// (do types and code resolve alike for every supported importer?). For are-the-types-wrong a CommonJS module that resolves to
// ESM is a fault; every supported Node.js has `require()` of ESM, so that rule alone is off. sizes.json records the size of each
// tarball, packed and unpacked: `--record` writes it; without, the check fails if a package has grown by more than a
// tenth, so that growth is a decision and shows in review.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lacking, pack } from "./pack.mjs";
import { build, main, manifest, prepare, root, runTool, Stop, workspaceFolders } from "./workspace.mjs";

/** How many times larger than recorded a package may be. */
const maxGrowth = 1.1;

/**
 * Bytes of a tarball, and of the files in it.
 *
 * @typedef {{ packed: number, unpacked: number }} Sizes
 */

const sizesFile = join(root, "scripts", "sizes.json");
const record = process.argv.includes("--record");
/** @type {Record<string, Sizes>} */
const recorded = JSON.parse(readFileSync(sizesFile, "utf8"));
/** @type {Record<string, Sizes>} */
const measured = {};

await main(async () => {
  await prepare();
  await build("./packages/*");
  const findings = [];
  for (const folder of workspaceFolders().filter((path) => path.startsWith("packages")))
    findings.push(...(await check(folder)));
  if (record) writeFileSync(sizesFile, `${JSON.stringify(measured, null, 2)}\n`);
  if (findings.length > 0) throw new Stop(findings.join("\n"));
});

/**
 * @param {string} folder
 * @returns {Promise<string[]>}
 */
async function check(folder) {
  const { name } = manifest(folder);
  const target = mkdtempSync(join(tmpdir(), "pack-"));
  try {
    const tarball = await pack(folder, target);
    console.log(`\n${name}`);
    const findings = record ? recordSizes(name, tarball) : compareSizes(name, tarball);
    if ((await runTool("publint", ["run", tarball, "--strict"])) !== 0)
      findings.push(`${name}: publint found a problem`);
    findings.push(...lacking(folder, tarball));
    const rules = ["--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm"];
    const types = [...rules, "--format", "ascii", "--no-color", tarball];
    if ((await runTool("attw", types)) !== 0) findings.push(`${name}: are-the-types-wrong found a problem`);
    return findings;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

/**
 * @param {string} name
 * @param {string} tarball
 * @returns {string[]}
 */
function recordSizes(name, tarball) {
  const sizes = sizesOf(tarball);
  measured[name] = sizes;
  console.log(sizes);
  return [];
}

/**
 * @param {string} name
 * @param {string} tarball
 */
function compareSizes(name, tarball) {
  const findings = [];
  const sizes = sizesOf(tarball);
  for (const kind of /** @type {const} */ (["packed", "unpacked"])) {
    const size = sizes[kind];
    const before = recorded[name]?.[kind];
    console.log(`${kind}: ${size} bytes, recorded ${before ?? "nothing"}`);
    if (before === undefined) findings.push(`${name}: no ${kind} size is recorded`);
    else if (size > before * maxGrowth)
      findings.push(
        `${name}: ${kind} it has ${size} bytes, recorded ${before}. If that is intended, run \`pnpm run packages --record\`.`,
      );
  }
  return findings;
}

/**
 * @param {string} tarball
 * @returns {Sizes}
 */
function sizesOf(tarball) {
  const { status, stdout } = spawnSync("tar", ["-xzOf", tarball], { maxBuffer: 1 << 28 });
  if (status !== 0) throw new Stop(`${tarball} cannot be unpacked`);
  return { packed: statSync(tarball).size, unpacked: stdout.length };
}
