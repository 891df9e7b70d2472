// The client side of a WebSocket: the handshake, masked frames, and a reader that checks the payload of every message.

import { createHash, randomBytes } from "node:crypto";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";

const tail = Buffer.from([0, 0, 0xff, 0xff]);

/**
 * The request of a handshake, and a function that throws unless `head` is the right response to it.
 *
 * @param {string} path
 */
export function handshake(path, { deflate = false } = {}) {
  const key = randomBytes(16).toString("base64");
  const request = [
    `GET ${path} HTTP/1.1`,
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Version: 13",
    ...(deflate ? ["Sec-WebSocket-Extensions: permessage-deflate"] : []),
  ];
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  /** @param {string} head */
  const check = (head) => {
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade: ${head}`);
    if (!head.includes(accept)) throw new Error("Sec-WebSocket-Accept is wrong");
    if (deflate !== /permessage-deflate/i.test(head))
      throw new Error("compression was not negotiated as requested");
  };
  return { request: `${request.join("\r\n")}\r\n\r\n`, check };
}

/**
 * The head of a frame (RFC 6455 §5.2) up to its mask; `maskBit` says that a mask follows.
 *
 * @param {number} first
 * @param {number} length
 */
function head(first, length, maskBit = 0) {
  const out = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  out[0] = first;
  out[1] = maskBit | (out.length === 2 ? length : out.length === 4 ? 126 : 127);
  if (out.length === 4) out.writeUInt16BE(length, 2);
  if (out.length === 10) out.writeBigUInt64BE(BigInt(length), 2);
  return out;
}

/**
 * One masked frame, as a client sends it.
 *
 * @param {number} opcode
 * @param {Buffer} payload
 */
export function frame(opcode, payload, { deflate = false } = {}) {
  const data = deflate
    ? deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    : payload;
  const mask = randomBytes(4);
  const masked = data.map((byte, i) => byte ^ /** @type {number} */ (mask[i & 3]));
  return Buffer.concat([head(0x80 | (deflate ? 0x40 : 0) | opcode, data.length, 0x80), mask, masked]);
}

/**
 * The uncompressed frames that a server answers with: one, and as many as arrive at once.
 *
 * @param {number} opcode
 * @param {Buffer} payload
 * @param {number} together
 */
export function answers(opcode, payload, together) {
  const one = Buffer.concat([head(0x80 | opcode, payload.length), payload]);
  return { one, many: Buffer.concat(Array.from({ length: together }, () => one)) };
}

/**
 * Server-sent events as a server answers with them over HTTP/1.1, each in a chunk of its own: one, and as many as arrive
 * at once.
 *
 * @param {Buffer} data
 * @param {number} together
 */
export function eventChunks(data, together) {
  const event = Buffer.concat([Buffer.from("data: "), data, Buffer.from("\n\n")]);
  const one = Buffer.concat([Buffer.from(`${event.length.toString(16)}\r\n`), event, Buffer.from("\r\n")]);
  return { one, many: Buffer.concat(Array.from({ length: together }, () => one)) };
}

/**
 * Reads unmasked messages. An uncompressed frame must be the expected head and payload. Compressed frames differ as the
 * server's window fills: the first must inflate to `payload`, and each must be complete.
 */
export class MessageReader {
  #payload;
  #deflate;
  #frames;
  #offset = 0;
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);
  #checked = false;

  /** @param {{ frames: { one: Buffer, many: Buffer }, payload: Buffer, deflate: boolean }} expected */
  constructor({ frames, payload, deflate }) {
    this.#payload = payload;
    this.#deflate = deflate;
    this.#frames = frames;
  }

  /**
   * Returns how many messages these bytes complete.
   *
   * @param {Buffer} bytes
   */
  push(bytes) {
    return this.#deflate ? this.#compressed(bytes) : this.#identical(bytes);
  }

  /** @param {Buffer} bytes */
  #identical(bytes) {
    const { one, many } = this.#frames;
    const before = this.#offset;
    for (let at = 0; at < bytes.length; ) {
      const from = (before + at) % one.length;
      const length = Math.min(bytes.length - at, many.length - from);
      if (bytes.compare(many, from, from + length, at, at + length) !== 0)
        throw new Error("wrong frames came back");
      at += length;
    }
    const after = before + bytes.length;
    this.#offset = after % one.length;
    return Math.floor(after / one.length);
  }

  /** @param {Buffer} bytes */
  #compressed(bytes) {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    let count = 0;
    for (;;) {
      const left = all.length - at;
      if (left < 2) break;
      const short = all.readUInt8(at + 1);
      const head = short < 126 ? 2 : 4;
      if (left < head) break;
      const length = short < 126 ? short : all.readUInt16BE(at + 2);
      if (left < head + length) break;
      this.#check(all.readUInt8(at), short, all.subarray(at + head, at + head + length));
      at += head + length;
      count += 1;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return count;
  }

  /**
   * @param {number} first
   * @param {number} short the length as the second byte has it
   * @param {Buffer} data
   */
  #check(first, short, data) {
    if ((first & 0xb0) !== 0x80 || short > 126) throw new Error("unexpected frame");
    if (this.#checked) return;
    this.#checked = true;
    const payload =
      (first & 0x40) === 0
        ? data
        : inflateRawSync(Buffer.concat([data, tail]), { finishFlush: constants.Z_SYNC_FLUSH });
    if (!payload.equals(this.#payload)) throw new Error("a message came back changed");
  }
}
