// Checks the "Coming from …" tables of the READMEs: every name in their right-hand column must exist.

/** @import { Entry } from "./surface.mjs" */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../workspace.mjs";
import { print } from "./surface.mjs";

/** Words of the language, and the variables of the tables. */
const given = new Set(
  [
    "async await const export for from import new of true false undefined n",
    "app array body builder conn connection glisten handler listener mist mug port request response server socket ws x",
  ].flatMap((line) => line.split(" ")),
);

/**
 * One line for each name that no declaration of the package has.
 *
 * @param {Entry[]} entries
 * @param {import("typescript").TypeChecker} checker
 */
export function unknownNames(entries, checker) {
  /** @type {Map<string, Set<string>>} */
  const words = new Map();
  for (const entry of entries) {
    const known = words.get(entry.folder) ?? new Set(given);
    // mist's tables may name what glisten has.
    if (entry.folder === "mist") for (const word of words.get("glisten") ?? []) known.add(word);
    for (const one of entry.exports) {
      known.add(one.name);
      const text = one.from === undefined ? print(one, checker) : "";
      for (const [word] of text.matchAll(/[A-Za-z_$][\w$]*/g)) known.add(word);
    }
    words.set(entry.folder, known);
  }
  return [...words].flatMap(([folder, known]) => {
    const document = join("packages", folder, "README.md");
    return cells(readFileSync(join(root, document), "utf8"))
      .flatMap(identifiers)
      .filter((name) => !known.has(name))
      .map((name) => `${document}: ${name}, in a "Coming from" table, does not exist`);
  });
}

/**
 * The right-hand cells of the tables in those sections.
 *
 * @param {string} text
 */
function cells(text) {
  const sections = text.split(/^## /m).filter((section) => section.startsWith("Coming from"));
  return sections.flatMap((section) =>
    [...section.matchAll(/^\|(?:[^|\\]|\\.)*\|((?:[^|\\]|\\.)*)\|$/gm)].map(([, cell = ""]) => cell).slice(2),
  );
}

/**
 * The identifiers in the code of a cell, without strings and ellipses.
 *
 * @param {string} cell
 */
function identifiers(cell) {
  return [...cell.matchAll(/`([^`]+)`/g)]
    .map(([, code = ""]) => code.replaceAll(/"[^"]*"|…|\.\.\./g, " "))
    .flatMap((code) => [...code.matchAll(/(?<![\w$])[A-Za-z_$][\w$]*/g)].map(([name]) => name));
}
