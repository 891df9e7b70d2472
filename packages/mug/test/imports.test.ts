/** The files of mug import each other in one direction only, types included, and nothing but Node. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".ts"),
);

const imports = new Map(
  files.map((file) => {
    const text = readFileSync(join(source, file), "utf8");
    return [file, [...text.matchAll(/^(?! \*).*\bfrom "([^"]+)"/gm)].map(([, specifier]) => specifier!)];
  }),
);

test("only Node and files of mug are imported", () => {
  const foreign = [...imports.values()].flat().filter((specifier) => !/^(node:|\.)/.test(specifier));
  expect(foreign).toEqual([]);
});

test("no files import each other in a circle", () => {
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) throw new Error([...path, file].join(" → "));
    if (finished.has(file)) return;
    for (const specifier of imports.get(file) ?? []) {
      if (!specifier.startsWith(".")) continue;
      visit(relative(source, join(source, dirname(file), specifier)), [...path, file]);
    }
    finished.add(file);
  };
  for (const file of files) visit(file, []);
  expect(finished.size).toBe(files.length);
});
