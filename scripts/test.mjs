// `npx pnpm@12.21.0 test [vitest arguments]`: installs and builds what is missing, then runs all tests of the repository
// (the projects of vitest.config.ts). The last line is `N passed, N failed`.

import { runTests } from "./run-tests.mjs";
import { build, main, prepare } from "./workspace.mjs";

await main(async () => {
  await prepare();
  await build();
  const { passed, failed, skipped } = await runTests(process.argv.slice(2));
  if (failed > 0 || passed === 0) process.exitCode = 1;
  if (skipped > 0 && process.argv.length === 2)
    console.log(`${skipped} skipped, because this machine lacks what they need`);
  console.log(`${passed} passed, ${failed} failed`);
});
