// The ```ts blocks of the READMEs, type-checked against the sources with the compiler that builds them.
//
// A block that imports nothing itself is given the namespaces it names. A comment in front of a block declares what it
// takes for granted, unseen by readers: <!-- given: declare const request: mist.Request; -->

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, runTool } from "../workspace.mjs";

/** The packages' namespaces, as the documents call them. */
export const NAMESPACES = {
  glisten: "@x/glisten",
  actor: "@x/glisten/actor",
  tcp: "@x/glisten/tcp",
  tls: "@x/glisten/tls",
  mist: "@x/mist",
  mug: "@x/mug",
};

/** Documents, and the package in whose folder their imports resolve. */
const DOCUMENTS = {
  "README.md": "mist",
  "packages/glisten/README.md": "glisten",
  "packages/mist/README.md": "mist",
  "packages/mug/README.md": "mug",
};

/** Type-checks all blocks; resolves with how many there were, and whether all of them passed. */
export async function checkSnippets() {
  let count = 0;
  let passed = true;
  for (const folder of new Set(Object.values(DOCUMENTS))) {
    const place = mkdtempSync(join(root, "packages", folder, ".snippets-"));
    try {
      for (const [document, home] of Object.entries(DOCUMENTS))
        if (home === folder) count += extract(document, place);
      writeFileSync(join(place, "tsconfig.json"), JSON.stringify(config()));
      passed = (await runTool("tsc", ["-p", place, "--pretty", "false"])) === 0 && passed;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }
  return { count, passed };
}

/** Writes one file for each block, named for the line it stands on, so that errors can be found again. */
function extract(document, place) {
  const text = readFileSync(join(root, document), "utf8");
  const folder = join(place, document.replaceAll(/[/.]/g, "-"));
  mkdirSync(folder);
  const blocks = [...text.matchAll(/(?:<!-- given: ([\s\S]*?) -->\n+)?```ts\n([\s\S]*?)```/g)];
  for (const { index, 0: whole, 1: given = "", 2: code } of blocks) {
    const line = text.slice(0, index + whole.indexOf("```ts")).split("\n").length + 1;
    writeFileSync(join(folder, `line-${line}.ts`), complete(code, given));
  }
  return blocks.length;
}

function complete(code, given) {
  const named = Object.keys(NAMESPACES).filter((name) =>
    new RegExp(`(?<![\\w.])${name}\\.`).test(code + given),
  );
  const imports = named
    .filter((name) => !new RegExp(`import (?:\\* as )?${name}\\b`).test(code))
    .map((name) => `import * as ${name} from "${NAMESPACES[name]}";`);
  // On the first line, so that the numbers of the others stay what they are in the document.
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
