// `pnpm run docs` writes the API reference (docs/api) from the built packages. It is committed, so that a change of the
// public surface shows in review. `pnpm run docs:check` compares it with the sources. It also finds missing docstrings,
// types that users meet and cannot import, names in READMEs that do not exist, and broken links between documents. It
// type-checks the examples in READMEs, guides and docstrings, and runs those that are tests.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, main, prepare, root, Stop } from "../workspace.mjs";
import { brokenLinks } from "./links.mjs";

const referenceFolder = join("docs", "api");

await main(async () => {
  await prepare();
  await build("./packages/*");
  const { entries, missing, findings, files } = await describe();
  const problems = missing.map(
    (specifier) => `${specifier}: the manifest names it, but the build does not produce it`,
  );
  problems.push(...findings);
  if (process.argv.includes("--check"))
    problems.push(...differences(files), ...brokenLinks(), ...(await snippets()));
  else write(files);
  console.log(`${entries.length} entry points, ${Object.keys(files).length} files`);
  if (problems.length > 0) throw new Stop(problems.join("\n"));
});

/** The text of every generated file by its path, and what is wrong with the packages' surface. */
async function describe() {
  // Imported late: there is no compiler before the install.
  const { readSurface, unnamed } = await import("./surface.mjs");
  const { reference } = await import("./reference.mjs");
  const { checkExamples } = await import("./examples.mjs");
  const { missingDocstrings } = await import("./docstrings.mjs");
  const { unknownNames } = await import("./names.mjs");
  const { entries, missing, checker } = readSurface();
  /** @type {Record<string, string>} */
  const files = {};
  for (const [file, text] of Object.entries(reference(entries, checker)))
    files[join(referenceFolder, file)] = text;
  const examples = checkExamples(entries);
  console.log(`${examples.count} docstring examples type-checked`);
  const findings = [
    ...missingDocstrings(entries, checker),
    ...entries.flatMap((entry) =>
      unnamed(entry, entries, checker).map(
        ({ name }) => `${entry.specifier}: exports mention ${name}, which is not exported`,
      ),
    ),
    ...unknownNames(entries, checker),
    ...examples.findings,
  ];
  return { entries, missing, files, findings };
}

function existing() {
  if (!existsSync(join(root, referenceFolder))) return [];
  return readdirSync(join(root, referenceFolder)).map((file) => join(referenceFolder, file));
}

/** @param {Record<string, string>} files */
function write(files) {
  for (const file of existing()) if (!(file in files)) rmSync(join(root, file));
  mkdirSync(join(root, referenceFolder), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
}

/** @param {Record<string, string>} files */
function differences(files) {
  const found = existing();
  return [
    ...found.filter((file) => !(file in files)).map((file) => `${file} is left over; run \`pnpm run docs\``),
    ...Object.entries(files)
      .filter(([file, text]) => !found.includes(file) || readFileSync(join(root, file), "utf8") !== text)
      .map(([file]) => `${file} is out of date; run \`pnpm run docs\` and review the difference`),
  ];
}

async function snippets() {
  const { checkSnippets } = await import("./snippets.mjs");
  const { count, tests, passed } = await checkSnippets();
  console.log(`${count} examples of READMEs and guides type-checked, ${tests} of them run as tests`);
  return passed ? [] : ["an example of a README or a guide fails, see above"];
}
