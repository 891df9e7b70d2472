// `npx pnpm@12.21.0 test [vitest arguments]`: installs and builds what is missing, then runs the tests of every
// package, of the examples and of these scripts, each in its own folder as `pnpm --filter … test` would, and ends
// with one line over all of them: `N passed, N failed`.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { runTests } from "./suites.mjs";
import { build, main, prepare, root, workspaceFolders } from "./workspace.mjs";

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
