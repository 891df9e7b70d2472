// `pnpm matrix` in a small workspace, with a stand-in for npm that packs a stand-in for Node.js.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const scripts = dirname(dirname(fileURLToPath(import.meta.url)));
/** @type {string} */
let folder;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "matrix-"));
  for (const file of ["matrix.mjs", "runtimes.mjs", "run-tests.mjs", "workspace.mjs"])
    cpSync(join(scripts, file), join(folder, "scripts", file));
  write("package.json", "{}");
  write("pnpm-lock.yaml", "lock");
  write("node_modules/.pnpm/lock.yaml", "lock");
  write("examples/.keep", "");
  for (const name of ["mug", "glisten", "mist"]) write(`packages/${name}/package.json`, "{}");
  program("pnpm", "exit 0");
  // Packs a Node that prints its path and then runs the real one.
  program(
    "bin/npm",
    `mkdir -p "$4/package/bin" && cd "$4" &&
    printf '#!/bin/sh\\necho "run by $0"\\nexec "${process.execPath}" "$@"\\n' > package/bin/node &&
    chmod +x package/bin/node && tar -czf node.tgz package && rm -r package && echo "fetched $2"`,
  );
  write(
    "node_modules/vitest/vitest.mjs",
    `import fs from "node:fs";
    const file = process.argv.find((arg) => arg.startsWith("--outputFile.json=")).split("=")[1];
    const failed = process.env.PATH.includes("node-" + process.env.FAILING + "/") ? 1 : 0;
    fs.writeFileSync(file, JSON.stringify({ numPassedTests: 2, numFailedTests: failed, numPendingTests: 0, testResults: [] }));
    console.log("first on the path: " + process.env.PATH.split(":")[0]);`,
  );
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
 * @param {string} path
 * @param {string} body
 */
const program = (path, body) => {
  write(path, `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, path), 0o755);
};

/**
 * @param {string[]} args
 * @param {string} failing the version whose tests fail
 */
async function run(args, failing = "nothing") {
  const env = {
    ...process.env,
    npm_execpath: join(folder, "pnpm"),
    PATH: join(folder, "bin") + delimiter + process.env.PATH,
    FAILING: failing,
  };
  const child = spawn(process.execPath, [join(folder, "scripts", "matrix.mjs"), ...args], { env });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const [code] = await once(child, "close");
  return { code, output, last: output.trim().split("\n").at(-1) };
}

test("tests run in the fetched Node.js, which is first on their PATH", async () => {
  const { code, output, last } = await run(["24.1.2"]);
  const node = join(folder, "node_modules", ".cache", "runtimes", "node-24.1.2", "package", "bin", "node");
  expect(last).toBe("2 passed, 0 failed");
  expect(code).toBe(0);
  expect(existsSync(node)).toBe(true);
  expect(output.split(`run by ${node}`).length - 1).toBe(1);
  expect(output.split(`first on the path: ${dirname(node)}`).length - 1).toBe(1);
});

test("a failure on one version fails the run, and the others still run", async () => {
  const { code, last } = await run(["24.1.2", "26.0.1"], "24.1.2");
  expect([code, last]).toEqual([1, "4 passed, 1 failed"]);
});

test("an argument that is not a version is rejected", async () => {
  const { code, last } = await run(["latest"]);
  expect([code, last]).toEqual([1, 'Expected 20, 22, 24, 26 or a full version, got "latest".']);
});
