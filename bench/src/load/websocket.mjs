// The client's side of a WebSocket: the handshake, masked frames, and a reader that checks every message's payload.

import { createHash, randomBytes } from "node:crypto";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";

const tail = Buffer.from([0, 0, 0xff, 0xff]);

/** A handshake's bytes, and a function that throws unless `head` is the right answer to it. */
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
  const check = (head) => {
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`no upgrade: ${head}`);
    if (!head.includes(accept)) throw new Error("the handshake's answer is wrong");
    if (deflate !== /permessage-deflate/i.test(head)) throw new Error("compression is not as asked for");
  };
  return { request: `${request.join("\r\n")}\r\n\r\n`, check };
}

/** A frame's head (RFC 6455 §5.2), without a mask; `maskBit` says that one follows. */
function head(first, length, maskBit = 0) {
  const out = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  out[0] = first;
  out[1] = maskBit | (out.length === 2 ? length : out.length === 4 ? 126 : 127);
  if (out.length === 4) out.writeUInt16BE(length, 2);
  if (out.length === 10) out.writeBigUInt64BE(BigInt(length), 2);
  return out;
}

/** One frame, masked, as a client sends it. */
export function frame(opcode, payload, { deflate = false } = {}) {
  const data = deflate
    ? deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
    : payload;
  const mask = randomBytes(4);
  const masked = data.map((octet, i) => octet ^ mask[i & 3]);
  return Buffer.concat([head(0x80 | (deflate ? 0x40 : 0) | opcode, data.length, 0x80), mask, masked]);
}

/** The frames that a server answers with, uncompressed: one, and as many as come at once. */
export function answers(opcode, payload, together) {
  const one = Buffer.concat([head(0x80 | opcode, payload.length), payload]);
  return { one, many: Buffer.concat(Array.from({ length: together }, () => one)) };
}

/**
 * Reads unmasked messages. A frame that is not compressed must equal `payload` behind the head it should have. Of
 * compressed ones, which differ as the server's window fills, the first must inflate to `payload`, and each must be
 * whole.
 */
export class MessageReader {
  #payload;
  #deflate;
  #frames;
  #offset = 0;
  #rest = Buffer.alloc(0);
  #checked = false;

  constructor({ frames, payload, deflate }) {
    this.#payload = payload;
    this.#deflate = deflate;
    this.#frames = frames;
  }

  /** How many messages these bytes complete. */
  push(bytes) {
    return this.#deflate ? this.#compressed(bytes) : this.#identical(bytes);
  }

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

  #compressed(bytes) {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    let count = 0;
    for (;;) {
      const left = all.length - at;
      if (left < 2) break;
      const short = all[at + 1];
      const head = short < 126 ? 2 : 4;
      if (left < head) break;
      const length = short < 126 ? short : all.readUInt16BE(at + 2);
      if (left < head + length) break;
      this.#check(all[at], short, all.subarray(at + head, at + head + length));
      at += head + length;
      count += 1;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return count;
  }

  #check(first, short, data) {
    if ((first & 0xb0) !== 0x80 || short > 126) throw new Error("not a frame that was expected");
    if (this.#checked) return;
    this.#checked = true;
    const payload =
      (first & 0x40) === 0
        ? data
        : inflateRawSync(Buffer.concat([data, tail]), { finishFlush: constants.Z_SYNC_FLUSH });
    if (!payload.equals(this.#payload)) throw new Error("a message came back changed");
  }
}
