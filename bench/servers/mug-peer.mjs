// The peer that mug and the bare client talk to: `node mug-peer.mjs`. The first byte of a connection selects what it does:
//   "e": echo everything that follows
//   "d": for every 8 hexadecimal digits that follow, send that many blocks of 64 KiB

/** @import { Socket } from "node:net" */

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

/**
 * @param {Socket} socket
 * @param {Buffer} rest
 */
function echo(socket, rest) {
  if (rest.length > 0) socket.write(rest);
  socket.on("data", (data) => socket.write(data));
}

/**
 * @param {Socket} socket
 * @param {Buffer} rest
 */
function download(socket, rest) {
  let left = 0;
  const pump = () => {
    while (left > 0) {
      left--;
      if (!socket.write(BLOCK)) return;
    }
  };
  /** @param {Buffer} data */
  const order = (data) => {
    if (data.length === 0) return;
    left = Number.parseInt(data.toString("latin1"), 16);
    pump();
  };
  socket.on("drain", pump);
  socket.on("data", order);
  order(rest);
}

server.listen(0, "127.0.0.1", () =>
  console.log(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
