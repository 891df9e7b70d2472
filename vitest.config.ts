import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // One run over the whole house; `pnpm --filter @x/mug test` runs one package alone with the same settings.
    projects: ["packages/*/vitest.config.ts", "examples/vitest.config.ts", "scripts/vitest.config.ts"],
    maxWorkers: 2,
  },
});
