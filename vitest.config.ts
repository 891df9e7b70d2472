import { defineConfig } from "vitest/config";

// All tests of the repository in one run; `vitest run --project @x/mug` runs one package's.
export default defineConfig({
  test: { projects: ["packages/*", "examples", "scripts"], maxWorkers: 2 },
});
