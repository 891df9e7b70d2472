// Runs vitest and counts tests.

/** @import { JsonTestResults } from "vitest/reporters" */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run } from "./workspace.mjs";

/**
 * Runs tests of the repository.
 *
 * @param {string[]} args arguments of `vitest run`
 * @param {{ node?: string, env?: NodeJS.ProcessEnv }} [options] `node` is the executable that runs vitest and the tests
 * @returns {Promise<{ passed: number, failed: number, skipped: number }>}
 */
export async function runTests(args, { node = process.execPath, env = process.env } = {}) {
  const place = mkdtempSync(join(tmpdir(), "tests-"));
  const report = join(place, "report.json");
  const all = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...args];
  try {
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    const exitCode = await run(node, [vitest, "run", ...all], { env });
    return count(report, exitCode);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/**
 * A file that fails to load has no counted test but is a failure, and so is a crash outside of tests.
 *
 * @param {string} report
 * @param {number | null} exitCode
 */
function count(report, exitCode) {
  /** @type {JsonTestResults} */
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

/** @param {{ status: string }} test */
function isFailed(test) {
  return test.status === "failed";
}
