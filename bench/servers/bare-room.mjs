// The floor of a broadcast: bare node:net that writes a frame, or an event, encoded once, to everybody who has sent
// something: node bare-room.mjs PORT [events]
import { createServer } from "node:net";
import { answers, eventChunks } from "../src/load/websocket.mjs";

const events = process.argv[3] === "events";
const greeting = events
  ? "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
  : "welcome\r\n\r\n";

/** @type {Set<import("node:net").Socket>} */
const sockets = new Set();

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
  socket.on("data", () => {
    sockets.add(socket);
    socket.write(greeting);
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);

globalThis.benchTasks.publish = (data) => {
  const { one: bytes } = events ? eventChunks(Buffer.from(data), 1) : answers(1, Buffer.from(data), 1);
  for (const socket of sockets) socket.write(bytes);
};
