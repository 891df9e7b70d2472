// `pnpm matrix [majors or versions …] [-- vitest arguments]`: the tests of mug, glisten and mist on every supported major
// version of Node.js, with binaries from the npm registry; of the oldest one, on the oldest supported release. Ends with a
// table and `N passed, N failed`.

import { delimiter, dirname } from "node:path";
import { runTests } from "./run-tests.mjs";
import { runtime } from "./runtimes.mjs";
import { build, main, prepare, Stop } from "./workspace.mjs";

/** @type {Record<string, string>} */
const versions = { 20: "20.19.0", 22: "22.23.3", 24: "24.21.0", 26: "26.10.0" };
const projects = ["@x/mug", "@x/glisten", "@x/mist"].flatMap((name) => ["--project", name]);

await main(async () => {
  const [wanted, vitestArguments] = split(process.argv.slice(2));
  await prepare();
  await build("./packages/*");
  const rows = [];
  for (const version of wanted) {
    console.log(`\n--- Node.js ${version}`);
    const node = runtime("node", version);
    // It is first on the PATH too, for programs that tests start by name.
    const env = { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH };
    rows.push({ node: version, ...(await runTests([...projects, ...vitestArguments], { node, env })) });
  }
  console.table(rows);
  const passed = rows.reduce((total, row) => total + row.passed, 0);
  const failed = rows.reduce((total, row) => total + row.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
});

/**
 * The versions to test, and the arguments of vitest.
 *
 * @param {string[]} args
 * @returns {[versions: string[], vitestArguments: string[]]}
 */
function split(args) {
  const at = args.indexOf("--");
  const named = at === -1 ? args : args.slice(0, at);
  const wanted = named.length === 0 ? Object.values(versions) : named.map(exact);
  return [wanted, at === -1 ? [] : args.slice(at + 1)];
}

/** @param {string} version */
function exact(version) {
  const known = versions[version] ?? version;
  if (!/^\d+\.\d+\.\d+$/.test(known))
    throw new Stop(`Expected ${Object.keys(versions).join(", ")} or a full version, got "${version}".`);
  return known;
}
