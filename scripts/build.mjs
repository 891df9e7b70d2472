// Builds the package whose folder is the current one: what its `exports` name, and no other file of code.
//
// Node takes longer to find and open two hundred small modules than to compile what is in them, so the modules behind
// each entry point are joined, and what several entry points share goes into files of its own: a class exists once,
// however it was imported. Nothing is minified, and source maps carry the sources, so a stack trace and a debugger show
// the code as it was written. Declarations stay one per module: only compilers and editors read those.

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

/** @type {{ exports: Record<string, string | { "@x/source": string, default: string }> }} */
const { exports } = JSON.parse(readFileSync("package.json", "utf8"));

rmSync("dist", { recursive: true, force: true });
declare();
await bundle();

function declare() {
  const tsc = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
  const options = ["-p", "tsconfig.build.json", "--emitDeclarationOnly"];
  const { status } = spawnSync(process.execPath, [tsc, ...options], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

async function bundle() {
  const bundled = await rolldown({
    input: entryPoints(),
    platform: "node",
    external: (id) => !id.startsWith(".") && !id.startsWith("/"),
    onLog: (_level, log) => {
      throw new Error(log.message);
    },
  });
  await bundled.write({
    dir: "dist",
    format: "esm",
    sourcemap: true,
    minify: false,
    minifyInternalExports: false,
    entryFileNames: "[name].js",
    chunkFileNames: "shared/[name].js",
  });
}

/** Each file in `dist` that `exports` names, without its ending, and the source it is made from. */
function entryPoints() {
  /** @type {Record<string, string>} */
  const entries = {};
  for (const entry of Object.values(exports)) {
    if (typeof entry === "string") continue;
    entries[entry.default.replace(/^\.\/dist\/(.+)\.js$/, "$1")] = entry["@x/source"];
  }
  return entries;
}
