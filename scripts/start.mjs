// `npx pnpm@12.21.0 start [example]`: installs and builds what is missing, then runs an example in this process, by default
// the showcase. The example itself reads PORT, reports a port that is in use, and stops on signals.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { stopWithNpx } from "./abandoned.mjs";
import { build, main, prepare, root, Stop, workspaceFolders } from "./workspace.mjs";

await main(async () => {
  const name = process.argv[2] ?? "showcase";
  const examples = workspaceFolders().filter((folder) => folder.startsWith("examples"));
  const folder = join("examples", name);
  if (!examples.includes(folder))
    throw new Stop(
      `There is no example "${name}". There are: ${examples.map((path) => path.slice(9)).join(", ")}.`,
    );
  await prepare();
  await build(`./${folder}...`);
  const program = join(root, folder, "dist", "main.js");
  if (!existsSync(program)) throw new Stop(`The build did not produce ${program}.`);
  stopWithNpx();
  await import(pathToFileURL(program).href);
});
