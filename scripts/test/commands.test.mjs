// `pnpm start` and `pnpm test` when something is missing or fails, in a small workspace with a stand-in for pnpm.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const scripts = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {string} */
let folder;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "commands-"));
  for (const file of ["abandoned.mjs", "start.mjs", "run-tests.mjs", "test.mjs", "workspace.mjs"])
    cpSync(join(scripts, file), join(folder, "scripts", file));
  write("package.json", "{}");
  write("pnpm-lock.yaml", "lock");
  write("packages/one/package.json", "{}");
  write("packages/one/vitest.config.ts", "");
  write("examples/showcase/package.json", "{}");
  write("examples/echo/package.json", "{}");
  write("examples/showcase/dist/main.mjs", "");
  program("pnpm", "process.exit(0)");
});

afterEach(() => rmSync(folder, { recursive: true }));

/**
 * @param {string} path
 * @param {string} text
 */
const write = (path, text) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};

/**
 * Writes an executable, whose body has its arguments in `args`.
 *
 * @param {string} path
 * @param {string} body
 */
const program = (path, body) => {
  const imports = path.endsWith(".mjs") ? 'import fs from "node:fs";' : 'const fs = require("node:fs");';
  write(path, `#!/usr/bin/env node\n${imports}\nconst args = process.argv.slice(2);\n${body}\n`);
  chmodSync(join(folder, path), 0o755);
};

const installed = () => write("node_modules/.pnpm/lock.yaml", "lock");

/**
 * @param {string} script
 * @param {...string} args
 */
async function run(script, ...args) {
  const env = { ...process.env, npm_execpath: join(folder, "pnpm"), npm_lifecycle_event: "start" };
  const child = spawn(process.execPath, [join(folder, "scripts", script), ...args], { env });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "close");
  return { code, output: output.trim(), last: output.trim().split("\n").at(-1) };
}

test.each(["start.mjs", "test.mjs"])("%s stops when the install fails", async (script) => {
  program("pnpm", 'if (args[0] === "install") process.exit(7); else console.log("went on");');
  const { code, output, last } = await run(script);
  expect(code).toBe(1);
  expect(last).toBe("Installing the dependencies failed (exit code 7); see the lines above.");
  expect(output).not.toContain("went on");
});

test.each(["start.mjs", "test.mjs"])(
  "%s stops when something is still missing after the install",
  async (script) => {
    const { code, last } = await run(script);
    expect(code).toBe(1);
    expect(last).toBe("The dependencies are still incomplete after the install: nothing is installed.");
  },
);

test("an install that is older than the lockfile is repeated", async () => {
  write("node_modules/.pnpm/lock.yaml", "another lock");
  program("pnpm", 'if (args[0] === "install") fs.writeFileSync("node_modules/.pnpm/lock.yaml", "lock");');
  write("examples/showcase/dist/main.js", 'console.log("it runs");');
  expect(await run("start.mjs")).toMatchObject({ code: 0, last: "it runs" });
});

test("a missing dependency is noticed", async () => {
  installed();
  write("examples/echo/package.json", '{"dependencies": {"@x/glisten": "workspace:*"}}');
  const { code, last } = await run("start.mjs");
  expect(code).toBe(1);
  expect(last).toContain("examples/echo lacks @x/glisten");
});

test.each(["start.mjs", "test.mjs"])("%s stops when the build fails", async (script) => {
  installed();
  program("pnpm", "process.exit(2);");
  const { code, last } = await run(script);
  expect(code).toBe(1);
  expect(last).toBe("The build failed (exit code 2); see the lines above.");
});

test("start lists the examples if it does not know the name", async () => {
  installed();
  const { code, last } = await run("start.mjs", "nothing");
  expect(code).toBe(1);
  expect(last).toBe('There is no example "nothing". There are: echo, showcase.');
});

/**
 * The body of a vitest that reports this.
 *
 * @param {object} counts
 * @param {object[]} files
 */
const report = (counts, files = []) => `
  const file = args.find((arg) => arg.startsWith("--outputFile.json=")).split("=")[1];
  fs.writeFileSync(file, JSON.stringify({ numPendingTests: 0, testResults: ${JSON.stringify(files)}, ...${JSON.stringify(counts)} }));`;
const failedTest = { status: "failed", assertionResults: [{ status: "failed" }] };
const brokenFile = { status: "failed", assertionResults: [] };

test.each([
  ["all is well", { numPassedTests: 3, numFailedTests: 0 }, [], 0, 0, "3 passed, 0 failed"],
  ["a test fails", { numPassedTests: 2, numFailedTests: 1 }, [failedTest], 1, 1, "2 passed, 1 failed"],
  [
    "a file cannot be loaded",
    { numPassedTests: 2, numFailedTests: 0 },
    [brokenFile],
    1,
    1,
    "2 passed, 1 failed",
  ],
  [
    "something fails outside any test",
    { numPassedTests: 2, numFailedTests: 0 },
    [],
    1,
    1,
    "2 passed, 1 failed",
  ],
  ["nothing ran", { numPassedTests: 0, numFailedTests: 0 }, [], 0, 1, "0 passed, 0 failed"],
])("test sums up when %s", async (_, counts, files, exit, expected, line) => {
  installed();
  program("node_modules/vitest/vitest.mjs", `${report(counts, files)}\nprocess.exit(${exit});`);
  const { code, last } = await run("test.mjs");
  expect(last).toBe(line);
  expect(code).toBe(expected);
});

test("test runs all projects at once and passes its arguments on", async () => {
  installed();
  program(
    "node_modules/vitest/vitest.mjs",
    `${report({ numPassedTests: 5, numFailedTests: 0 })}\nconsole.log(process.cwd(), args.includes("echo"));`,
  );
  const { output, last } = await run("test.mjs", "echo");
  expect(output).toContain(`${folder} true`);
  expect(last).toBe("5 passed, 0 failed");
});

test("test fails when its runner leaves no report", async () => {
  installed();
  program("node_modules/vitest/vitest.mjs", "process.exit(0);");
  const { code, last } = await run("test.mjs");
  expect(code).toBe(1);
  expect(last).toBe("0 passed, 1 failed");
});

test.runIf(process.platform === "linux")("start ends when the npx that started it has ended", async () => {
  installed();
  write(
    "examples/showcase/dist/main.js",
    `setInterval(() => {}, 1000);
    process.once("SIGTERM", () => { console.log("goodbye"); process.exit(); });
    console.log("it runs");`,
  );
  const start = JSON.stringify([join(folder, "scripts", "start.mjs")]);
  const options = '{ stdio: "inherit", detached: true }';
  program("npx", `require("node:child_process").spawn(process.execPath, ${start}, ${options});`);
  const env = { ...process.env, npm_execpath: join(folder, "pnpm") };
  const npx = spawn(process.execPath, [join(folder, "npx")], { env });
  let output = "";
  for await (const chunk of npx.stdout) {
    output += chunk;
    if (output.includes("it runs")) npx.kill();
  }
  expect(output).toContain("goodbye");
});
