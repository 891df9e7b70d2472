// The other side of the benchmark, in a process of its own. The first byte of a connection chooses what it does:
//   "e": send back everything behind it
//   "d": for each 8 hex digits behind it, send that many 64 KiB blocks
import { createServer } from "node:net";

const BLOCK = Buffer.alloc(64 * 1024);
for (let at = 0; at < BLOCK.length; at++) BLOCK[at] = at % 251;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.once("data", (first) => {
    const rest = first.subarray(1);
    if (first[0] === 0x65) echo(socket, rest);
    else download(socket, rest);
  });
});

function echo(socket, rest) {
  if (rest.length > 0) socket.write(rest);
  socket.on("data", (data) => socket.write(data));
}

function download(socket, rest) {
  let left = 0;
  const pump = () => {
    while (left > 0) {
      left--;
      if (!socket.write(BLOCK)) return;
    }
  };
  const order = (data) => {
    if (data.length === 0) return;
    left = Number.parseInt(data.toString("latin1"), 16);
    pump();
  };
  socket.on("drain", pump);
  socket.on("data", order);
  order(rest);
}

server.listen(0, "127.0.0.1", () => process.send(server.address().port));
process.on("disconnect", () => process.exit());
