// The same work twice: by mug, and by a bare node:net socket with callbacks. A client is opened, runs batches, and is
// closed; every answer is checked. `bench` measures it.

/** @import { Socket } from "node:net" */

/**
 * Does a batch of so many units: round trips or blocks.
 *
 * @typedef {{ run(units: number): Promise<void>, close(): unknown }} Client
 */
import { connect as netConnect } from "node:net";
import { connect } from "@x/mug";

export const BLOCK = Buffer.alloc(64 * 1024);
for (let at = 0; at < BLOCK.length; at++) BLOCK[at] = at % 251;

const wrong = () => {
  throw new Error("wrong answer");
};

/**
 * Round trips at depth 1: the next message is sent when the whole answer to the previous one has arrived.
 *
 * @type {Record<"mug" | "mugWithTimeout" | "bare", (port: number, message: Buffer) => Promise<Client>>}
 */
export const echo = {
  async mug(port, message) {
    const socket = await connect({ host: "127.0.0.1", port });
    await socket.send("e");
    return {
      async run(count) {
        for (let trip = 0; trip < count; trip++) {
          socket.send(message);
          const answer = await socket.receiveExact(message.length);
          if (!answer.equals(message)) wrong();
        }
      },
      close: () => socket.close(),
    };
  },

  async mugWithTimeout(port, message) {
    const socket = await connect({ host: "127.0.0.1", port });
    await socket.send("e");
    const wait = { timeout: 1000 };
    return {
      async run(count) {
        for (let trip = 0; trip < count; trip++) {
          await socket.send(message);
          const answer = await socket.receiveExact(message.length, wait);
          if (!answer.equals(message)) wrong();
        }
      },
      close: () => socket.close(),
    };
  },

  async bare(port, message) {
    const socket = await openBare(port);
    socket.write("e");
    let left = 0;
    let done = () => {};
    /** @type {Buffer[]} */
    let chunks = [];
    let received = 0;
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received < message.length) return;
      const answer = chunks.length === 1 ? chunk : Buffer.concat(chunks, received);
      if (!answer.equals(message)) wrong();
      chunks = [];
      received = 0;
      if (--left === 0) done();
      else socket.write(message);
    });
    return {
      run(count) {
        left = count;
        socket.write(message);
        return new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
          done = resolve;
        });
      },
      close: () => socket.destroy(),
    };
  },
};

/**
 * One direction: blocks of 64 KiB as fast as they arrive; the first and last byte of every packet are checked.
 *
 * @type {Record<"mug" | "bare", (port: number) => Promise<Client>>}
 */
export const download = {
  async mug(port) {
    const socket = await connect({ host: "127.0.0.1", port });
    await socket.send("d");
    return {
      async run(blocks) {
        await socket.send(blocks.toString(16).padStart(8, "0"));
        let received = 0;
        for await (const packet of socket) {
          received = checkPacket(packet, received);
          if (received === blocks * BLOCK.length) return;
        }
        wrong();
      },
      close: () => socket.close(),
    };
  },

  async bare(port) {
    const socket = await openBare(port);
    socket.write("d");
    let wanted = 0;
    let received = 0;
    let done = () => {};
    socket.on("data", (packet) => {
      received = checkPacket(packet, received);
      if (received === wanted) done();
    });
    socket.once("end", wrong);
    return {
      run(blocks) {
        wanted = blocks * BLOCK.length;
        received = 0;
        socket.write(blocks.toString(16).padStart(8, "0"));
        return new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
          done = resolve;
        });
      },
      close: () => socket.destroy(),
    };
  },
};

/**
 * @param {Buffer} packet
 * @param {number} received
 */
function checkPacket(packet, received) {
  const last = received + packet.length - 1;
  if (
    packet[0] !== BLOCK[received % BLOCK.length] ||
    packet[packet.length - 1] !== BLOCK[last % BLOCK.length]
  )
    wrong();
  return received + packet.length;
}

/**
 * @param {number} port
 * @returns {Promise<Socket>}
 */
function openBare(port) {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host: "127.0.0.1", port, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}
