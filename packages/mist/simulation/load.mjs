// Makes one module of the simulator, mist and glisten, from their sources: with a mutant in them, if one is given.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";

/** @typedef {{ readonly name: string, readonly file: string, readonly search: string, readonly replace: string }} Mutant */

const packages = fileURLToPath(new URL("../../", import.meta.url));

/**
 * The text of a source file with a mutant in it.
 *
 * @param {Mutant} mutant
 */
export function mutated({ name, file, search, replace }) {
  const text = readFileSync(join(packages, file), "utf8");
  const places = text.split(search).length - 1;
  if (places !== 1)
    throw new Error(`mutant "${name}": ${places} places in ${file} match, and it must be one`);
  return text.replace(search, () => replace);
}

/**
 * Writes the module, and says where.
 *
 * @param {Mutant | undefined} [mutant]
 * @returns {Promise<{ readonly url: string, remove(): void }>}
 */
export async function makeSimulator(mutant) {
  const folder = mkdtempSync(join(tmpdir(), "simulation-"));
  const changed =
    mutant === undefined ? undefined : { path: join(packages, mutant.file), text: mutated(mutant) };
  const bundled = await rolldown({
    input: fileURLToPath(new URL("simulator.ts", import.meta.url)),
    platform: "node",
    external: (id) => isBuiltin(id),
    resolve: { conditionNames: ["@x/source", "import", "node"] },
    plugins: [
      {
        name: "mutant",
        load: (id) => (id === changed?.path ? { code: changed.text, moduleType: "ts" } : undefined),
      },
    ],
  });
  const file = join(folder, "simulator.mjs");
  await bundled.write({ file, format: "esm", sourcemap: "inline", codeSplitting: false });
  return {
    url: pathToFileURL(file).href,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
