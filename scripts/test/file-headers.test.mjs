// One dialect: a file's header is `//`, a declaration's comment `/** */`. Biome, which enforces the rest, cannot tell.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../workspace.mjs";

test("file headers are written with //", () => {
  const sources = readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name, "src"))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
    )
    .filter((path) => path.endsWith(".ts"));
  expect(sources.length).toBeGreaterThan(200);
  // What documents a declaration stands right above it.
  const wrong = sources.filter((path) =>
    /^\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n\n/.test(readFileSync(path, "utf8")),
  );
  expect(wrong).toEqual([]);
});
