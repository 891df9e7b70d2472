// The packages as a stranger meets them: packed as for publishing, installed with npm into an empty project outside
// the workspace, and used with only their READMEs open.
//
//   1. Each tarball holds what it should and no more; nothing of the workspace is left in its manifest.
//   2. @x/mug alone, and @x/glisten alone, bring nothing else with them.
//   3. The published declarations show nothing internal, and every optional property takes undefined.
//   4. mist's types accept and refuse what packages/mist/test/public-types.ts says.
//   5. The first ```ts example of each README type-checks in a strict project (nodenext, library types checked too)
//      and runs; what is then asked of it stands in consumer-probes.mjs.

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
import { build, main, manifest, pack, prepare, root, Stop } from "./workspace.mjs";

const PACKAGES = ["glisten", "mist", "mug"];

/** What each package may bring into a project that installs it. */
const BRINGS = {
  glisten: [],
  mug: [],
  mist: ["@x/glisten", "content-type", "mrmime", "negotiator"],
};

/** How the README examples are compiled: as strict as a careful user, with the library types checked too. */
const STRICT = {
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
const failures = [];

await main(async () => {
  await prepare();
  await build("./packages/*");
  const place = mkdtempSync(join(tmpdir(), "consumer-"));
  try {
    const tarballs = await packAll(place);
    for (const name of PACKAGES) checkTarball(name, tarballs[name]);
    for (const name of PACKAGES) installAlone(name, tarballs, join(place, `alone-${name}`));
    await runReadmes(tarballs, join(place, "project"));
  } finally {
    if (process.env.KEEP_CONSUMER === undefined) rmSync(place, { recursive: true, force: true });
    else console.log(`kept: ${place}`);
  }
  console.log(`\n${passed} passed, ${failures.length} failed`);
  if (failures.length > 0) throw new Stop(failures.join("\n"));
});

function check(what, problem) {
  if (problem === undefined) passed++;
  else failures.push(`${what}: ${problem}`);
  console.log(
    `${problem === undefined ? "ok  " : "FAIL"} ${what}${problem === undefined ? "" : `: ${problem}`}`,
  );
}

async function packAll(place) {
  const tarballs = {};
  for (const name of PACKAGES) {
    const target = join(place, `pack-${name}`);
    mkdirSync(target);
    if ((await pack(join("packages", name), target)) !== 0) throw new Stop(`@x/${name} cannot be packed`);
    tarballs[name] = join(target, readdirSync(target)[0]);
  }
  return tarballs;
}

function checkTarball(name, tarball) {
  const files = command("tar", ["-tzf", tarball]).trim().split("\n");
  const stray = files.filter(
    (file) => !/^package\/(dist\/.+\.(js|d\.ts)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(file),
  );
  check(
    `@x/${name}: the tarball holds only what is published`,
    stray.length > 0 ? stray.join(", ") : undefined,
  );
  const needed = [
    "package/package.json",
    "package/README.md",
    "package/LICENSE",
    "package/dist/index.js",
    "package/dist/index.d.ts",
  ];
  const lacking = needed.filter((file) => !files.includes(file));
  check(
    `@x/${name}: the tarball is complete`,
    lacking.length > 0 ? `lacks ${lacking.join(", ")}` : undefined,
  );
  const text = command("tar", ["-xzOf", tarball, "package/package.json"]);
  const left = ["workspace:", "@x/source", "src/"].filter((word) => text.includes(word));
  check(
    `@x/${name}: the manifest knows no workspace`,
    left.length > 0 ? `still says ${left.join(", ")}` : undefined,
  );
}

function installAlone(name, tarballs, folder) {
  const brought = install(folder, withNeeds(name, tarballs));
  const allowed = [`@x/${name}`, ...BRINGS[name]].sort();
  const problem = brought.join() === allowed.join() ? undefined : `installed ${brought.join(", ")}`;
  check(
    `@x/${name} alone brings ${BRINGS[name].length === 0 ? "nothing else" : BRINGS[name].join(", ")}`,
    problem,
  );
}

/** mist's range for glisten is met by the glisten packed beside it, never by a registry. */
function withNeeds(name, tarballs) {
  const needs = name === "mist" ? ["mist", "glisten"] : [name];
  return Object.fromEntries(needs.map((need) => [`@x/${need}`, `file:${tarballs[need]}`]));
}

/** npm install in a new folder; the names of all installed packages, sorted. */
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

async function runReadmes(tarballs, folder) {
  const { devDependencies } = manifest(".");
  install(folder, {
    ...Object.fromEntries(PACKAGES.map((name) => [`@x/${name}`, `file:${tarballs[name]}`])),
    typescript: devDependencies.typescript,
    "@types/node": devDependencies["@types/node"],
  });
  for (const name of PACKAGES) checkDeclarations(name, join(folder, "node_modules", "@x", name, "dist"));
  copyFileSync(join(root, "packages/mist/test/public-types.ts"), join(folder, "public-types.ts"));
  const tsconfig = JSON.stringify({ compilerOptions: STRICT, include: ["*.ts"] }, null, 2);
  writeFileSync(join(folder, "tsconfig.json"), tsconfig);
  writeFileSync(join(folder, "entry-points.ts"), importEverything());
  const named = PACKAGES.filter((name) => extractExample(name, folder));
  const tsc = spawnSync(join("node_modules", ".bin", "tsc"), ["-p", "."], { cwd: folder, encoding: "utf8" });
  const faults = tsc.status === 0 ? undefined : `\n${tsc.stdout}`;
  check("examples, entry points and public types type-check, strict and with library types", faults);
  const imported = spawnSync(process.execPath, ["out/entry-points.js"], { cwd: folder, encoding: "utf8" });
  check("every entry point can be imported", imported.status === 0 ? undefined : imported.stderr);
  for (const name of named) check(`@x/${name}: the README example runs`, await probe(name, folder));
}

function checkDeclarations(name, dist) {
  const faults = readdirSync(dist, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".d.ts"))
    .flatMap((file) =>
      declarationFaults(readFileSync(join(dist, file), "utf8")).map((fault) => `${file}, ${fault}`),
    );
  check(
    `@x/${name}: the declarations are what is public`,
    faults.length > 0 ? `\n${faults.join("\n")}` : undefined,
  );
}

/** A program that imports every entry point but those that need a framework the user brings. */
function importEverything() {
  const entries = PACKAGES.flatMap((name) => {
    const { exports, peerDependencies = {} } = manifest(join("packages", name));
    const own = (path) => path !== "./package.json" && peerDependencies[path.slice(2)] === undefined;
    return Object.keys(exports)
      .filter(own)
      .map((path) => `@x/${name}${path.slice(1)}`);
  });
  const lines = entries.map((entry, i) => `import * as entry${i} from ${JSON.stringify(entry)};`);
  const all = entries.map((_, i) => `entry${i}`).join(", ");
  return `${lines.join("\n")}\nfor (const entry of [${all}]) if (Object.keys(entry).length === 0) throw new Error("empty");\n`;
}

/** Writes the README's first example to `<name>.ts`. False when there is none. */
function extractExample(name, folder) {
  const source = firstExample(join(folder, "node_modules", "@x", name, "README.md"));
  check(`@x/${name}: the README opens with an example`, source === undefined ? "no ```ts block" : undefined);
  if (source !== undefined) writeFileSync(join(folder, `${name}.ts`), source);
  return source !== undefined;
}

/** The first fenced block marked `ts` of a Markdown file. */
function firstExample(file) {
  return /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(file, "utf8"))?.[1];
}

function command(name, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(name, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Stop(`${name} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}
