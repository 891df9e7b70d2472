// Type-checks the ```ts blocks of the READMEs and guides against the sources, with the compiler that builds them, and runs
// those that are tests (of node:test) against the built packages.
//
// A block gets the namespaces that it names and does not import. A comment before a block, which readers do not see,
// declares what the block uses: <!-- given: declare const request: mist.Request; -->
// A block that begins with the line `// app.ts` is the file of that name for the other blocks of its document. A test whose
// block has a comment of givens is not run.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { root, run, runTool } from "../workspace.mjs";

/**
 * The packages' namespaces, as the documents call them.
 *
 * @type {Record<string, string>}
 */
export const NAMESPACES = {
  glisten: "@x/glisten",
  actor: "@x/glisten/actor",
  tcp: "@x/glisten/tcp",
  tls: "@x/glisten/tls",
  mist: "@x/mist",
  mug: "@x/mug",
};

/** The documents, and the package in whose folder their imports resolve. */
const homes = {
  "README.md": "mist",
  "packages/glisten/README.md": "glisten",
  "packages/mist/README.md": "mist",
  "packages/mug/README.md": "mug",
  ...Object.fromEntries(
    readdirSync(join(root, "docs/guides")).map((file) => [`docs/guides/${file}`, "mist"]),
  ),
};

/** Checks and runs the blocks; resolves with how many there are of each kind, and whether all of them passed. */
export async function checkSnippets() {
  let count = 0;
  let tests = 0;
  let passed = true;
  for (const folder of new Set(Object.values(homes))) {
    const place = mkdtempSync(join(root, "packages", folder, ".snippets-"));
    try {
      for (const [document, home] of Object.entries(homes))
        if (home === folder) count += extract(document, place);
      writeFileSync(join(place, "tsconfig.json"), JSON.stringify(config()));
      passed = (await runTool("tsc", ["-p", place, "--pretty", "false"])) === 0 && passed;
      const files = runnable(place);
      tests += files.length;
      if (files.length > 0)
        passed = (await run(process.execPath, ["--test", "--test-reporter=dot", ...files])) === 0 && passed;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }
  return { count, tests, passed };
}

/**
 * Writes a file for each block, named as it says, or for its line, so that errors can be located.
 *
 * @param {string} document
 * @param {string} place
 */
function extract(document, place) {
  const text = readFileSync(join(root, document), "utf8");
  const folder = join(place, document.replaceAll(/[/.]/g, "-"));
  mkdirSync(folder);
  const blocks = [...text.matchAll(/(?:<!-- given: ([\s\S]*?) -->\n+)?```ts\n([\s\S]*?)```/g)];
  for (const { index, 0: whole, 1: given = "", 2: code = "" } of blocks) {
    const line = text.slice(0, index + whole.indexOf("```ts")).split("\n").length + 1;
    const named = /^\/\/ ([\w-]+\.ts)\n/.exec(code)?.[1];
    const isTest = given === "" && /from "node:test"/.test(code);
    writeFileSync(join(folder, named ?? `line-${line}${isTest ? ".test" : ""}.ts`), complete(code, given));
  }
  return blocks.length;
}

/**
 * Writes JavaScript beside the blocks; returns the paths of the tests. Node resolves the packages to what was built.
 *
 * @param {string} place
 */
function runnable(place) {
  const sources = readdirSync(place, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  for (const file of sources) {
    const { outputText } = ts.transpileModule(readFileSync(join(place, file), "utf8"), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
      },
    });
    writeFileSync(join(place, file.replace(/\.ts$/, ".js")), outputText);
  }
  return sources
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join(place, file.replace(/\.ts$/, ".js")));
}

/**
 * @param {string} code
 * @param {string} given
 */
function complete(code, given) {
  const named = Object.keys(NAMESPACES).filter((name) =>
    new RegExp(`(?<![\\w.])${name}\\.`).test(code + given),
  );
  const imports = named
    .filter((name) => !new RegExp(`import (?:\\* as )?${name}\\b`).test(code))
    .map((name) => `import * as ${name} from "${NAMESPACES[name]}";`);
  // On the first line, so that the others keep their numbers.
  return `${imports.join(" ")} ${given.replaceAll("\n", " ")} export {};${code.startsWith("\n") ? "" : "\n"}${code}`;
}

function config() {
  return {
    extends: `../tsconfig.json`,
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ["**/*.ts"],
    exclude: [],
  };
}
