// `pnpm matrix [majors or versions …] [-- vitest arguments]`: the test suites of mug, glisten and mist on every supported
// line of Node.js, each with a binary from the registry. The oldest line is tried in its oldest version that is supported.
// Ends with a table, and `N passed, N failed`.

import { delimiter, dirname } from "node:path";
import { runTests } from "./run-tests.mjs";
import { runtime } from "./runtimes.mjs";
import { build, main, prepare, Stop } from "./workspace.mjs";

const VERSIONS = { 20: "20.19.0", 22: "22.23.3", 24: "24.21.0", 26: "26.10.0" };
const PROJECTS = ["@x/mug", "@x/glisten", "@x/mist"].flatMap((name) => ["--project", name]);

await main(async () => {
  const [wanted, vitestArguments] = split(process.argv.slice(2));
  await prepare();
  await build("./packages/*");
  const rows = [];
  for (const version of wanted) {
    console.log(`\n--- Node.js ${version}`);
    const node = runtime("node", version);
    // First on the PATH as well, for programs that tests start by name.
    const env = { ...process.env, PATH: dirname(node) + delimiter + process.env.PATH };
    rows.push({ node: version, ...(await runTests([...PROJECTS, ...vitestArguments], { node, env })) });
  }
  console.table(rows);
  const passed = rows.reduce((total, row) => total + row.passed, 0);
  const failed = rows.reduce((total, row) => total + row.failed, 0);
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0 || passed === 0) process.exitCode = 1;
});

function split(args) {
  const at = args.indexOf("--");
  const [versions, rest] = at === -1 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
  return [versions.length === 0 ? Object.values(VERSIONS) : versions.map(exact), rest];
}

function exact(version) {
  const known = VERSIONS[version] ?? version;
  if (!/^\d+\.\d+\.\d+$/.test(known))
    throw new Stop(`"${version}" is none of ${Object.keys(VERSIONS).join(", ")}, nor a whole version.`);
  return known;
}
