// The ws package: /ws echoes, /ws-deflate echoes compressed, /room receives what is published. `node ws.mjs PORT`
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/** @param {import("ws").WebSocket} socket */
const echo = (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
const room = new WebSocketServer({ noServer: true, perMessageDeflate: false });
/** @type {Record<string, WebSocketServer>} */
const paths = {
  "/ws": new WebSocketServer({ noServer: true, perMessageDeflate: false }).on("connection", echo),
  "/ws-deflate": new WebSocketServer({ noServer: true, perMessageDeflate: true }).on("connection", echo),
  "/room": room,
};

const server = createServer();
server.on("upgrade", (request, socket, head) => {
  const upgraded = paths[request.url ?? ""];
  upgraded?.handleUpgrade(request, socket, head, (ws) => upgraded.emit("connection", ws, request));
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", 1024, () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);

if (globalThis.benchTasks) {
  globalThis.benchTasks.publish = (data) => {
    for (const client of room.clients) client.send(data);
  };
}
