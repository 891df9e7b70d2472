// The floor of a broadcast: bare node:net that writes one frame, encoded beforehand, to whoever has said something.
import { createServer } from "node:net";

const sockets = new Set();

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
  socket.on("data", () => {
    sockets.add(socket);
    socket.write("welcome\r\n\r\n");
  });
});
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", 1024, () => console.log(server.address().port));

/** An unmasked text frame of more than 125 bytes. */
function frame(size) {
  const bytes = Buffer.alloc(4 + size, "x");
  bytes[0] = 0x81;
  bytes[1] = 126;
  bytes.writeUInt16BE(size, 2);
  return bytes;
}

globalThis.benchTasks.publish = async ({ size, times }) => {
  const bytes = frame(size);
  for (let i = 0; i < times; i++) {
    for (const socket of sockets) socket.write(bytes);
    await new Promise((resolve) => setImmediate(resolve));
  }
};
