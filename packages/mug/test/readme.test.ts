/** The README's programs: all of them compile as a reader would compile them, the first three run. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const packageDirectory = fileURLToPath(new URL("..", import.meta.url));
const tsc = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url));
const nodeTypes = fileURLToPath(new URL("../../../node_modules/@types/node", import.meta.url));

const programs = [
  ...readFileSync(join(packageDirectory, "README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm),
].map(([, program]) => program!);

let directory: string;

/** A project that has this package installed, freshly built. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mug-readme-"));
  const installed = join(directory, "node_modules/@x/mug");
  await mkdir(installed, { recursive: true });
  await mkdir(join(directory, "node_modules/@types"));
  await symlink(nodeTypes, join(directory, "node_modules/@types/node"));
  await cp(join(packageDirectory, "package.json"), join(installed, "package.json"));
  await run(tsc, ["-p", "tsconfig.build.json", "--outDir", join(installed, "dist")], {
    cwd: packageDirectory,
  });
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  for (const [index, program] of programs.entries()) await writeFile(join(directory, `${index}.ts`), program);
}, 60_000);

afterAll(() => rm(directory, { recursive: true, force: true }));

test("all compile; those that can run do, and end by themselves", { timeout: 60_000 }, async () => {
  const options = [
    "--target",
    "es2022",
    "--lib",
    "es2023,esnext.disposable",
    "--module",
    "nodenext",
    "--strict",
  ];
  const files = programs.map((_program, index) => `${index}.ts`);
  const compiled = await run(tsc, [...options, "--types", "node", ...files], { cwd: directory }).catch(
    (error: { stdout: string }) => error,
  );
  expect(compiled.stdout).toBe("");
  const { stdout } = await run(process.execPath, ["0.js"], { cwd: directory, timeout: 30_000 });
  expect(stdout).toBe("Hello, Joe!\n27 rest\ntimeout\n");
  const over = await run(process.execPath, ["1.js"], { cwd: directory, timeout: 30_000 });
  expect(over.stdout).toBe("in memory\n");
  await run(process.execPath, ["2.js"], { cwd: directory, timeout: 30_000 });
});

test("there is something to read", () => {
  expect(programs.length).toBeGreaterThanOrEqual(4);
});
