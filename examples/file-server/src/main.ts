// A file server: a folder (ROOT, or the one beside this program) with indexes, conditional and range requests.

import { fileURLToPath } from "node:url";
import * as mist from "@x/mist";

const root = process.env["ROOT"] ?? fileURLToPath(new URL("../public", import.meta.url));

const server = await mist
  .new(mist.staticFiles({ root, cacheControl: "no-cache" }))
  .port(Number(process.env["PORT"] ?? 4001))
  .afterStart(({ port }) => console.log(`${root} on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => void server.stop());
