import { defineConfig, type ViteUserConfig } from "vitest/config";

/** The test settings of the three packages. */
export function packageTests(name: string): ViteUserConfig {
  return defineConfig({
    // Inside the workspace the packages resolve to their sources, so a test never runs against a stale build.
    resolve: { conditions: ["@x/source"] },
    ssr: { resolve: { conditions: ["@x/source"], externalConditions: ["@x/source"] } },
    test: {
      name,
      include: ["test/**/*.test.ts"],
      testTimeout: 20_000,
      hookTimeout: 20_000,
      // What is waited for comes late on a machine that is busy.
      expect: { poll: { timeout: 15_000 } },
      maxWorkers: 2,
    },
  });
}
