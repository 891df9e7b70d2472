// `npx pnpm@12.21.0 test [vitest arguments]`: installs and builds what is missing, then runs the tests of every
// package, of the examples and of these scripts in one vitest, and ends with one line: `N passed, N failed`.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, main, prepare, runTool } from "./workspace.mjs";

await main(async () => {
  await prepare();
  await build();
  const { passed, failed, skipped, exitCode } = await runTests(process.argv.slice(2));
  if (exitCode !== 0 || failed > 0 || passed === 0) process.exitCode = 1;
  if (skipped > 0) console.log(`${skipped} skipped: what they need is not on this machine`);
  console.log(`${passed} passed, ${failed} failed`);
});

async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), "tests-"));
  const report = join(folder, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const exitCode = await runTool("vitest", ["run", ...reporters, ...args]);
    return { ...count(report, exitCode), exitCode };
  } finally {
    rmSync(folder, { recursive: true, force: true });
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
