// `pnpm run docs` writes the API reference (docs/api) from the built packages. It is committed, so that a change of the
// public surface shows in review. `pnpm run docs:check` compares it with what it would be now, looks for missing
// docstrings, for types that users meet and cannot import, and for names in the READMEs that do not exist, follows the
// links between documents, and type-checks the examples in READMEs and docstrings.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, main, prepare, root, Stop } from "../workspace.mjs";
import { brokenLinks } from "./links.mjs";

const REFERENCE = join("docs", "api");

await main(async () => {
  await prepare();
  await build("./packages/*");
  const { entries, missing, findings, files } = await describe();
  const problems = missing.map(
    (specifier) => `${specifier}: the manifest names it and the build does not make it`,
  );
  problems.push(...findings);
  if (process.argv.includes("--check"))
    problems.push(...differences(files), ...brokenLinks(), ...(await snippets()));
  else write(files);
  console.log(`${entries.length} entry points, ${Object.keys(files).length} files`);
  if (problems.length > 0) throw new Stop(problems.join("\n"));
});

/** What the packages say of themselves: `{ path: text }` for every generated file. */
async function describe() {
  // Loaded late: before the install there is no compiler to load.
  const { readSurface, unnamed } = await import("./surface.mjs");
  const { reference } = await import("./reference.mjs");
  const { checkExamples } = await import("./examples.mjs");
  const { missingDocstrings } = await import("./docstrings.mjs");
  const { unknownNames } = await import("./names.mjs");
  const { entries, missing, checker } = readSurface();
  const files = {};
  for (const [file, text] of Object.entries(reference(entries, checker))) files[join(REFERENCE, file)] = text;
  const examples = checkExamples(entries);
  console.log(`${examples.count} examples of docstrings type-checked`);
  const findings = [
    ...missingDocstrings(entries, checker),
    ...entries.flatMap((entry) =>
      unnamed(entry, entries, checker).map(
        ({ name }) => `${entry.specifier}: ${name} is part of the surface and not exported`,
      ),
    ),
    ...unknownNames(entries, checker),
    ...examples.findings,
  ];
  return { entries, missing, files, findings };
}

function existing() {
  if (!existsSync(join(root, REFERENCE))) return [];
  return readdirSync(join(root, REFERENCE)).map((file) => join(REFERENCE, file));
}

function write(files) {
  for (const file of existing()) if (!(file in files)) rmSync(join(root, file));
  mkdirSync(join(root, REFERENCE), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
}

function differences(files) {
  const found = existing();
  return [
    ...found
      .filter((file) => !(file in files))
      .map((file) => `${file} belongs to nothing; run pnpm run docs`),
    ...Object.entries(files)
      .filter(([file, text]) => !found.includes(file) || readFileSync(join(root, file), "utf8") !== text)
      .map(([file]) => `${file} is not what the sources say; run pnpm run docs, and look at the difference`),
  ];
}

async function snippets() {
  const { checkSnippets } = await import("./snippets.mjs");
  const { count, passed } = await checkSnippets();
  console.log(`${count} examples of the READMEs type-checked`);
  return passed ? [] : ["an example of a README does not type-check, see above"];
}
