// Imports a module of a package's sources that no entry point exports, for benchmarks and judges of what is inside. It is
// made as a package is built: its modules joined, nothing minified, TypeScript's types left out.

import { mkdtempSync, rmSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";

/**
 * The module's exports. What it imports is part of it: a class in it is another one than that of the built package.
 *
 * @param {URL} source
 * @returns {Promise<unknown>}
 */
export async function importSource(source) {
  const folder = mkdtempSync(join(tmpdir(), "source-"));
  try {
    const bundled = await rolldown({
      input: fileURLToPath(source),
      platform: "node",
      external: (id) => isBuiltin(id),
      resolve: { conditionNames: ["@x/source", "import", "node"] },
    });
    const file = join(folder, "module.mjs");
    await bundled.write({ file, format: "esm", sourcemap: "inline", codeSplitting: false });
    return await import(pathToFileURL(file).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
