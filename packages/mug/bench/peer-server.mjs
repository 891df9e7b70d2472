// The other side of the benchmark, in a process of its own: first byte of a connection chooses what it does.
//   "e": echo everything behind it      "d" + 8 hex digits: send so many 64 KiB blocks, then FIN
import { createServer } from "node:net";

const BLOCK = Buffer.alloc(64 * 1024);
for (let at = 0; at < BLOCK.length; at++) BLOCK[at] = at % 251;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.once("data", (first) => {
    if (first[0] === 0x65) echo(socket, first.subarray(1));
    else download(socket, Number.parseInt(first.toString("latin1", 1, 9), 16));
  });
});

function echo(socket, rest) {
  if (rest.length > 0) socket.write(rest);
  socket.on("data", (data) => socket.write(data));
}

function download(socket, blocks) {
  let left = blocks;
  const pump = () => {
    while (left > 0) {
      left--;
      if (!socket.write(BLOCK)) {
        socket.once("drain", pump);
        return;
      }
    }
    socket.end();
  };
  pump();
}

server.listen(0, "127.0.0.1", () => process.send(server.address().port));
process.on("disconnect", () => process.exit());
