// The floor of a broadcast: bare node:net that writes a frame, encoded once, to everybody who has sent something.
import { createServer } from "node:net";
import { answers } from "../src/load/websocket.mjs";

/** @type {Set<import("node:net").Socket>} */
const sockets = new Set();

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
  socket.on("data", () => {
    sockets.add(socket);
    socket.write("welcome\r\n\r\n");
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);

globalThis.benchTasks.publish = (data) => {
  const { one: bytes } = answers(1, Buffer.from(data), 1);
  for (const socket of sockets) socket.write(bytes);
};
