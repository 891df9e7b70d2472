// Two processes in one, as far as they meet at a broker: the first has the room's clients, the second publishes.
// node relay.mjs PORT redis|streams|nats BROKERPORT

import * as mist from "@x/mist";
import { nats } from "@x/mist/relay/nats";
import { redis } from "@x/mist/relay/redis";
import { createClient } from "redis";

const [port, kind, brokerPort] = process.argv.slice(2);

function relay() {
  if (kind === "nats") return nats({ servers: `127.0.0.1:${brokerPort}` });
  const client = createClient({ url: `redis://127.0.0.1:${brokerPort}` });
  return redis(client, { streams: kind === "streams" });
}

// No client is slow here, only asked for much at a time.
const here = mist.topics({ relay: relay(), maxQueue: 100_000 });
const there = mist.topics({ relay: relay() });

globalThis.benchTasks.publish = (data) => void there.publish("room", data);

await mist
  .new((request) =>
    mist.websocket({
      request,
      onInit: (websocket) => void here.join(websocket, "room"),
      handler: () => undefined,
    }),
  )
  .bind("127.0.0.1")
  .port(Number(port))
  .start();

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
