// `npx pnpm@12.21.0 test [vitest arguments]`: installs and builds what is missing, then runs the tests of every
// package, of the examples and of these scripts, each in its own folder as `pnpm --filter … test` would, and ends
// with one line over all of them: `N passed, N failed`.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, main, prepare, root, runTool, workspaceFolders } from "./workspace.mjs";

await main(async () => {
  await prepare();
  await build();
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const folder of [...workspaceFolders(), "examples", "scripts"]) {
    if (!existsSync(join(root, folder, "vitest.config.ts"))) continue;
    console.log(`\n--- ${folder}`);
    const result = await runTests(folder, process.argv.slice(2));
    for (const kind of Object.keys(total)) total[kind] += result[kind];
  }
  const { passed, failed, skipped } = total;
  if (failed > 0 || passed === 0) process.exitCode = 1;
  if (skipped > 0 && process.argv.length === 2)
    console.log(`${skipped} skipped: what they need is not on this machine`);
  console.log(`${passed} passed, ${failed} failed`);
});

async function runTests(folder, args) {
  const place = mkdtempSync(join(tmpdir(), "tests-"));
  const report = join(place, "report.json");
  // A name or a pattern need not be found in every folder.
  const all = [
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...args,
    "--passWithNoTests",
  ];
  try {
    const exitCode = await runTool("vitest", ["run", ...all], { cwd: join(root, folder) });
    return count(report, exitCode);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** A file that could not be loaded holds no counted test but is a failure; so is a crash outside any test. */
function count(report, exitCode) {
  let results;
  try {
    results = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    console.error("vitest left no report");
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const broken = results.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some(isFailed),
  );
  const failed = results.numFailedTests + broken.length;
  const outside = exitCode !== 0 && failed === 0 ? 1 : 0;
  return { passed: results.numPassedTests, failed: failed + outside, skipped: results.numPendingTests };
}

function isFailed(test) {
  return test.status === "failed";
}
