// A chat room that spans processes: each serves its own WebSockets, and what is said travels through a broker, NATS or
// Redis. Without a broker the people of one process still hear each other. When it is back they are one room again, and
// Redis, which keeps messages, brings what was said meanwhile.

import { subscribe } from "node:diagnostics_channel";
import * as mist from "@x/mist";
import { nats } from "@x/mist/relay/nats";
import { redis } from "@x/mist/relay/redis";
import { createClient } from "redis";
import { PAGE } from "./page.ts";

const broker = new URL(process.env["BROKER"] ?? "nats://localhost:4222");

subscribe("mist:topics:state", (event) => {
  const { state, cause } = event as mist.TopicsStateEvent;
  if (state === "connected") console.log(`linked to the broker on ${broker.host}`);
  if (state === "disconnected") console.log(`no broker on ${broker.host}: ${cause}`);
});

const relay =
  broker.protocol === "redis:"
    ? redis(createClient({ url: broker.href }), { streams: true })
    : nats({ servers: broker.host });
const topics = mist.topics({ relay });

const server = await mist
  .new((request) => {
    if (request.path === "/ws") return join(request);
    if (request.path !== "/") return mist.response(404);
    return mist.html(PAGE);
  })
  .port(Number(process.env["PORT"] ?? 4006))
  .afterStart(({ port }) => console.log(`chat on http://localhost:${port}`))
  .start();

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    // Our people leave first, and the others hear of it.
    await server.stop({ deadlineMs: 5_000 });
    await topics.close();
  });

function join(request: mist.Request): mist.ServerResponse {
  const name = new URLSearchParams(request.query).get("name")?.slice(0, 20) || "someone";
  return mist.websocket({
    request,
    onInit(conn) {
      topics.join(conn, "room");
      topics.publish("room", `* ${name} joined`);
    },
    handler(_state, message) {
      if (message.type === "text") topics.publish("room", `${name}: ${message.data.slice(0, 500)}`);
    },
    onClose: () => void topics.publish("room", `* ${name} left`),
  });
}
