// Hono on mist: `node hono-mist.mjs PORT`
import * as mist from "@x/mist";
import { fromFetch } from "@x/mist/fetch";
import { app } from "./hono-app.mjs";

await mist
  .new(fromFetch(app.fetch))
  .bind("127.0.0.1")
  .port(Number(process.argv[2] ?? 0))
  .start();
