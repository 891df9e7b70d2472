// Socket.IO with its Redis adapter: one server has the room's clients, another one publishes.
// `node socket-io.mjs PORT BROKERPORT`

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, brokerPort] = process.argv.slice(2);
const client = createClient({ url: `redis://127.0.0.1:${brokerPort}` });

async function adapter() {
  return createAdapter(await client.duplicate().connect(), await client.duplicate().connect());
}

const http = createServer();
const here = new Server(http, {
  transports: ["websocket"],
  pingInterval: 1_000_000,
  adapter: await adapter(),
});
here.on("connection", (socket) => void socket.join("room"));
const there = new Server({ adapter: await adapter() });

globalThis.benchTasks.publish = (data) => void there.to("room").emit("m", data);

http.listen(Number(port), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (http.address()).port),
);
