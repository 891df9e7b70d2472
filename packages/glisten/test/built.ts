/** The package compiled to JavaScript, for tests that must run it in a process of its own. */

import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

let built: Promise<string> | undefined;

/** The directory with `index.js`, `transport/transport.js` and so on; made once per test process, and removed. */
export function builtSources(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "glisten-built-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const packageDirectory = fileURLToPath(new URL("..", import.meta.url));
  const tsc = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url));
  const quick = ["--noCheck", "--isolatedDeclarations", "false", "--declaration", "false"];
  const options = ["-p", "tsconfig.build.json", "--outDir", directory, ...quick];
  await run(tsc, options, { cwd: packageDirectory });
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  return directory;
}
