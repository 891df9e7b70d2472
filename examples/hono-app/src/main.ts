// A Hono app as it would be anywhere; mist serves it. Only the WebSocket and the client's address come from mist.

import * as mist from "@x/mist";
import { type FetchEnvironment, fromFetch } from "@x/mist/fetch";
import { getConnInfo, upgradeWebSocket } from "@x/mist/hono";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { compress } from "hono/compress";
import { etag } from "hono/etag";
import { streamSSE } from "hono/streaming";

const visits: string[] = [];
const app = new Hono<{ Bindings: FetchEnvironment }>();

app.use(compress(), etag());

app.get("/", (c) => c.text(`Hello, ${getConnInfo(c).remote.address}!`));

app.get("/visits/:name", (c) => {
  const name = c.req.param("name");
  c.executionCtx.waitUntil(remember(name)); // behind the answer; a stop of the server waits for it
  return c.json({ name, before: visits.length });
});

app.post("/shout", bodyLimit({ maxSize: 1024 }), async (c) => c.text((await c.req.text()).toUpperCase()));

app.get("/count", (c) =>
  streamSSE(c, async (stream) => {
    for (let n = 3; n > 0; n--) await stream.writeSSE({ event: "count", data: String(n) });
  }),
);

app.get(
  "/ws",
  upgradeWebSocket(() => ({
    onOpen: (_event, ws) => ws.send("welcome"),
    onMessage: (event, ws) => ws.send(`you said ${event.data}`),
  })),
);

const server = await mist
  .new(fromFetch(app.fetch))
  .port(Number(process.env["PORT"] ?? 4012))
  .afterStart(({ port }) => console.log(`Hono on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => server.stop({ deadlineMs: 5_000 }));

async function remember(name: string): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve)); // a database would take a while
  visits.push(name);
}
