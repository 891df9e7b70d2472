// The floor of a room behind a broker: the broker's client, and bare node:net that writes a frame, encoded once, to
// everybody who has sent something. `node bare-relay.mjs PORT redis|nats BROKERPORT`

import { createServer } from "node:net";
import { connect } from "@nats-io/transport-node";
import { createClient } from "redis";
import { answers } from "../src/load/websocket.mjs";

const [port, kind, brokerPort] = process.argv.slice(2);

/** @type {Set<import("node:net").Socket>} */
const sockets = new Set();

/** @param {Uint8Array} data */
function deliver(data) {
  const { one: bytes } = answers(1, Buffer.from(data), 1);
  for (const socket of sockets) socket.write(bytes);
}

if (kind === "nats") {
  const servers = `127.0.0.1:${brokerPort}`;
  const [here, there] = [await connect({ servers }), await connect({ servers })];
  here.subscribe("room", { callback: (_error, message) => deliver(message.data) });
  globalThis.benchTasks.publish = (data) => there.publish("room", data);
} else {
  const client = createClient({ url: `redis://127.0.0.1:${brokerPort}` });
  const [here, there] = [await client.duplicate().connect(), await client.duplicate().connect()];
  await here.subscribe("room", deliver, true);
  globalThis.benchTasks.publish = (data) => void there.publish("room", data);
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
  socket.on("data", () => {
    sockets.add(socket);
    socket.write("welcome\r\n\r\n");
  });
});
server.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
