// `pnpm run docs` writes the API reference (docs/api) and the API reports (docs/api-report) from the built packages.
// `pnpm run docs:check` compares them with what they would be now, looks for missing docstrings and for names in the
// READMEs that do not exist, follows the links between documents, and type-checks the examples in READMEs and
// docstrings.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, main, prepare, root, Stop } from "../workspace.mjs";
import { brokenLinks } from "./links.mjs";

const REFERENCE = join("docs", "api");
const REPORTS = join("docs", "api-report");

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
  const { readSurface } = await import("./surface.mjs");
  const { reference } = await import("./reference.mjs");
  const { report } = await import("./report.mjs");
  const { checkExamples } = await import("./examples.mjs");
  const { missingDocstrings } = await import("./docstrings.mjs");
  const { unknownNames } = await import("./names.mjs");
  const { entries, missing, checker } = readSurface();
  const files = {};
  for (const [file, text] of Object.entries(reference(entries, checker))) files[join(REFERENCE, file)] = text;
  for (const entry of entries) files[join(REPORTS, `${entry.slug}.api.md`)] = report(entry, entries, checker);
  const examples = checkExamples(entries);
  console.log(`${examples.count} examples of docstrings type-checked`);
  const findings = [
    ...missingDocstrings(entries, checker),
    ...unknownNames(entries, checker),
    ...examples.findings,
  ];
  return { entries, missing, files, findings };
}

function existing() {
  return [REFERENCE, REPORTS].flatMap((folder) =>
    existsSync(join(root, folder)) ? readdirSync(join(root, folder)).map((file) => join(folder, file)) : [],
  );
}

function write(files) {
  for (const file of existing()) if (!(file in files)) rmSync(join(root, file));
  for (const folder of [REFERENCE, REPORTS]) mkdirSync(join(root, folder), { recursive: true });
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
