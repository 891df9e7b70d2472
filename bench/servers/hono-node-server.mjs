// Hono on @hono/node-server: `node hono-node-server.mjs PORT`
import { serve } from "@hono/node-server";
import { app } from "./hono-app.mjs";

serve({ fetch: app.fetch, port: Number(process.argv[2] ?? 0), hostname: "127.0.0.1" }, ({ port }) => {
  console.log(port);
});
