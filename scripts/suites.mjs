// Runs one folder's tests with vitest and counts them.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run } from "./workspace.mjs";

/** Resolves with `{ passed, failed, skipped }`. `node`: the executable to run vitest and the tests in. */
export async function runTests(folder, args, { node = process.execPath, env = process.env } = {}) {
  const place = mkdtempSync(join(tmpdir(), "tests-"));
  const report = join(place, "report.json");
  const all = [
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
    ...args,
    // A name or a pattern need not be found in every folder.
    "--passWithNoTests",
  ];
  try {
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    const exitCode = await run(node, [vitest, "run", ...all], { cwd: join(root, folder), env });
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
