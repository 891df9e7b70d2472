// Uses the packages as a stranger does: packed as for publishing, installed with npm into an empty project outside the
// workspace, with only their READMEs for help.
//
//   1. Each tarball contains what it should and no more; its manifest has nothing of the workspace.
//   2. @x/mug and @x/glisten have no dependencies, and @x/mist only those named below.
//   3. The published declarations show nothing internal, and every optional property takes undefined.
//   4. mist's types accept and reject what packages/mist/test/public-types.ts says.
//   5. The first ```ts example of each README type-checks in a strict project (nodenext, library types included) and runs;
//      consumer-probes.mjs then uses it.
//   6. Every entry point can be imported, and required by a CommonJS module of TypeScript.
//   7. The test in mist's chapter on testing type-checks and passes.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probe } from "./consumer-probes.mjs";
import { declarationFaults } from "./declarations.mjs";
import { pack } from "./pack.mjs";
import { build, main, manifest, prepare, root, Stop } from "./workspace.mjs";

/**
 * The packages, and what each may bring into a project that installs it.
 *
 * @type {Record<string, string[]>}
 */
const packages = {
  glisten: [],
  mist: ["@x/glisten", "content-disposition", "content-type", "cookie", "mrmime", "negotiator"],
  mug: [],
};
const names = Object.keys(packages);

/**
 * The path of each package's tarball.
 *
 * @typedef {Record<string, string>} Tarballs
 */

/** How the README examples are compiled: as a careful user does, with the library types checked. */
const strictOptions = {
  target: "es2023",
  lib: ["es2023", "esnext.disposable"],
  types: ["node"],
  module: "nodenext",
  moduleResolution: "nodenext",
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  outDir: "out",
};

let passed = 0;
/** @type {string[]} */
const failures = [];

await main(async () => {
  await prepare();
  await build("./packages/*");
  const place = mkdtempSync(join(tmpdir(), "consumer-"));
  try {
    const tarballs = await packAll(place);
    for (const [name, tarball] of Object.entries(tarballs)) checkTarball(name, tarball);
    for (const [name, brings] of Object.entries(packages))
      installAlone(name, brings, tarballs, join(place, `alone-${name}`));
    await runReadmes(tarballs, join(place, "project"));
  } finally {
    if (process.env.KEEP_CONSUMER === undefined) rmSync(place, { recursive: true, force: true });
    else console.log(`kept: ${place}`);
  }
  console.log(`\n${passed} passed, ${failures.length} failed`);
  if (failures.length > 0) throw new Stop(failures.join("\n"));
});

/**
 * Counts and prints a check; `problem` is undefined if it passed.
 *
 * @param {string} what
 * @param {string | undefined} problem
 */
function check(what, problem) {
  if (problem === undefined) passed++;
  else failures.push(`${what}: ${problem}`);
  console.log(
    `${problem === undefined ? "ok  " : "FAIL"} ${what}${problem === undefined ? "" : `: ${problem}`}`,
  );
}

/** @param {string} place */
async function packAll(place) {
  /** @type {Tarballs} */
  const tarballs = {};
  for (const name of names) tarballs[name] = await pack(join("packages", name), join(place, `pack-${name}`));
  return tarballs;
}

/**
 * @param {string} name
 * @param {string} tarball
 */
function checkTarball(name, tarball) {
  const files = command("tar", ["-tzf", tarball]).trim().split("\n");
  const stray = files.filter(
    (file) =>
      !/^package\/(dist\/.+\.(js|js\.map|d\.ts)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(file),
  );
  check(
    `@x/${name}: the tarball contains only what is published`,
    stray.length > 0 ? stray.join(", ") : undefined,
  );
  const needed = [
    "package/package.json",
    "package/dist/index.js",
    "package/dist/index.d.ts",
    ...(manifest(join("packages", name)).files ?? []).map((file) => `package/${file}`),
  ].filter((file) => file !== "package/dist");
  const lacking = needed.filter((file) => !files.includes(file));
  check(
    `@x/${name}: the tarball is complete`,
    lacking.length > 0 ? `it lacks ${lacking.join(", ")}` : undefined,
  );
  const text = command("tar", ["-xzOf", tarball, "package/package.json"]);
  const left = ["workspace:", "@x/source", "src/"].filter((word) => text.includes(word));
  check(
    `@x/${name}: the manifest has nothing of the workspace`,
    left.length > 0 ? `it still has ${left.join(", ")}` : undefined,
  );
}

/**
 * @param {string} name
 * @param {string[]} brings
 * @param {Tarballs} tarballs
 * @param {string} folder
 */
function installAlone(name, brings, tarballs, folder) {
  const brought = install(folder, withNeeds(name, tarballs));
  const allowed = [`@x/${name}`, ...brings].sort();
  const problem = brought.join() === allowed.join() ? undefined : `it installed ${brought.join(", ")}`;
  check(`@x/${name} alone brings ${brings.length === 0 ? "nothing else" : brings.join(", ")}`, problem);
}

/**
 * The glisten packed beside mist satisfies mist's range, never one of a registry.
 *
 * @param {string} name
 * @param {Tarballs} tarballs
 */
function withNeeds(name, tarballs) {
  const needs = name === "mist" ? ["mist", "glisten"] : [name];
  return Object.fromEntries(needs.map((need) => [`@x/${need}`, `file:${tarballs[need]}`]));
}

/**
 * Runs npm install in a new folder; returns the names of all installed packages, sorted.
 *
 * @param {string} folder
 * @param {Record<string, string | undefined>} dependencies
 */
function install(folder, dependencies) {
  mkdirSync(folder, { recursive: true });
  const overrides = dependencies["@x/glisten"] === undefined ? {} : { "@x/glisten": "$@x/glisten" };
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies, overrides }, null, 2),
  );
  command("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"], folder);
  const { packages } = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
  return Object.keys(packages)
    .filter((path) => path !== "")
    .map((path) => path.replace(/^.*node_modules\//, ""))
    .sort();
}

/**
 * @param {Tarballs} tarballs
 * @param {string} folder
 */
async function runReadmes(tarballs, folder) {
  const { devDependencies = {} } = manifest(".");
  install(folder, {
    ...Object.fromEntries(names.map((name) => [`@x/${name}`, `file:${tarballs[name]}`])),
    typescript: devDependencies["typescript"],
    "@types/node": devDependencies["@types/node"],
  });
  for (const name of names) checkDeclarations(name, join(folder, "node_modules", "@x", name, "dist"));
  copyFileSync(join(root, "packages/mist/test/public-types.ts"), join(folder, "public-types.ts"));
  const tsconfig = JSON.stringify({ compilerOptions: strictOptions, include: ["*.ts", "*.cts"] }, null, 2);
  writeFileSync(join(folder, "tsconfig.json"), tsconfig);
  for (const extension of ["ts", "cts"])
    writeFileSync(join(folder, `entry-points.${extension}`), importEverything());
  const named = names.filter((name) => extractExample(name, folder));
  extractTest(folder);
  const tsc = spawnSync(join("node_modules", ".bin", "tsc"), ["-p", "."], { cwd: folder, encoding: "utf8" });
  const faults = tsc.status === 0 ? undefined : `\n${tsc.stdout}`;
  check("examples, entry points and public types type-check, strict and with library types", faults);
  for (const [what, program] of [
    ["imported", "out/entry-points.js"],
    ["required", "out/entry-points.cjs"],
  ]) {
    const loaded = spawnSync(process.execPath, [`${program}`], { cwd: folder, encoding: "utf8" });
    check(`every entry point can be ${what}`, loaded.status === 0 ? undefined : loaded.stderr);
  }
  const tested = spawnSync(process.execPath, ["--test", "out/readme.test.js"], {
    cwd: folder,
    encoding: "utf8",
  });
  check("@x/mist: the README's test passes", tested.status === 0 ? undefined : `\n${tested.stdout}`);
  for (const name of named) check(`@x/${name}: the README example runs`, await probe(name, folder));
}

/**
 * @param {string} name
 * @param {string} dist
 */
function checkDeclarations(name, dist) {
  const faults = readdirSync(dist, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".d.ts"))
    .flatMap((file) =>
      declarationFaults(readFileSync(join(dist, file), "utf8")).map((fault) => `${file}, ${fault}`),
    );
  check(
    `@x/${name}: the declarations show only what is public`,
    faults.length > 0 ? `\n${faults.join("\n")}` : undefined,
  );
}

/** A program that imports every entry point except those that need an optional peer. */
function importEverything() {
  const entries = names.flatMap((name) => {
    const folder = join("packages", name);
    const { exports, peerDependencies = {} } = manifest(folder);
    return Object.entries(exports).flatMap(([path, files]) => {
      if (typeof files === "string") return [];
      const texts = [files.types, files.default].map((file) =>
        readFileSync(join(root, folder, file), "utf8"),
      );
      const needsPeer = Object.keys(peerDependencies).some((peer) =>
        texts.some((text) => text.includes(`from "${peer}`)),
      );
      return needsPeer ? [] : [`@x/${name}${path.slice(1)}`];
    });
  });
  const lines = entries.map((entry, i) => `import * as entry${i} from ${JSON.stringify(entry)};`);
  const all = entries.map((_, i) => `entry${i}`).join(", ");
  return `${lines.join("\n")}\nfor (const entry of [${all}]) if (Object.keys(entry).length === 0) throw new Error("empty");\n`;
}

/**
 * Writes the first example of the README to `<name>.ts`; false if there is none.
 *
 * @param {string} name
 * @param {string} folder
 */
function extractExample(name, folder) {
  const source = firstExample(join(folder, "node_modules", "@x", name, "README.md"));
  check(`@x/${name}: the README opens with an example`, source === undefined ? "no ```ts block" : undefined);
  if (source !== undefined) writeFileSync(join(folder, `${name}.ts`), source);
  return source !== undefined;
}

/**
 * Writes the test of mist's chapter on testing to `readme.test.ts`.
 *
 * @param {string} folder
 */
function extractTest(folder) {
  const readme = readFileSync(join(folder, "node_modules", "@x", "mist", "README.md"), "utf8");
  const source = /^## Testing\n[\s\S]*?^```ts\n([\s\S]*?)^```/m.exec(readme)?.[1];
  check("@x/mist: the README shows a test", source === undefined ? "no ```ts block in Testing" : undefined);
  if (source !== undefined) writeFileSync(join(folder, "readme.test.ts"), source);
}

/**
 * The first fenced `ts` block of a Markdown file.
 *
 * @param {string} file
 */
function firstExample(file) {
  return /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(file, "utf8"))?.[1];
}

/**
 * Runs a program; returns its output, and throws a Stop if it fails.
 *
 * @param {string} name
 * @param {string[]} args
 */
function command(name, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(name, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Stop(`${name} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}
