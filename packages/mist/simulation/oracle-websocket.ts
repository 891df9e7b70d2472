// Frames of RFC 6455, as a client writes and reads them. Written apart from mist's own core, and strict.

import { Buffer } from "node:buffer";
import { inflateRawSync } from "node:zlib";

export interface FrameOptions {
  readonly fin?: boolean;
  readonly masked?: boolean;
  readonly reserved?: number;
}

/** One frame of a client. The mask is `mask`, 32 bits. */
export function clientFrame(
  opcode: number,
  payload: Uint8Array,
  mask: number,
  options: FrameOptions = {},
): Buffer {
  const { fin = true, masked = true, reserved = 0 } = options;
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = Buffer.alloc(2 + extended + (masked ? 4 : 0) + length);
  frame[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  frame[1] = (masked ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(length, 2);
  if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  let at = 2 + extended;
  if (masked) {
    frame.writeUInt32BE(mask >>> 0, at);
    at += 4;
  }
  frame.set(payload, at);
  if (masked)
    for (let i = 0; i < length; i++)
      frame[at + i] = (frame[at + i] as number) ^ (frame[at - 4 + (i & 3)] as number);
  return frame;
}

export interface FrameEvents {
  message(text: boolean, data: Buffer): void;
  ping(data: Buffer): void;
  pong(data: Buffer): void;
  /** -1: without a code. */
  close(code: number, reason: string): void;
  broken(why: string): void;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Is this UTF-8? */
export function isUtf8(data: Buffer): boolean {
  try {
    decoder.decode(data);
    return true;
  } catch {
    return false;
  }
}

/** Reads the frames of a server. */
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #deflated: boolean;
  #held: Buffer = Buffer.alloc(0);
  #pieces: Buffer[] = [];
  #opcode = 0;
  #compressed = false;
  #over = false;
  #closed = false;

  constructor(events: FrameEvents, deflated: boolean) {
    this.#events = events;
    this.#deflated = deflated;
  }

  /** Part of a frame, or of a message, is there. */
  get busy(): boolean {
    return !this.#over && (this.#held.length > 0 || this.#opcode !== 0);
  }

  receive(bytes: Buffer): void {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    while (!this.#over && this.#frame());
  }

  #break(why: string): false {
    this.#over = true;
    this.#events.broken(why);
    return false;
  }

  #frame(): boolean {
    const held = this.#held;
    if (held.length < 2) return false;
    const first = held[0] as number;
    const second = held[1] as number;
    if ((second & 0x80) !== 0) return this.#break("a masked frame from the server");
    let length = second & 0x7f;
    let at = 2;
    if (length === 126) {
      if (held.length < 4) return false;
      length = held.readUInt16BE(2);
      if (length < 126) return this.#break("a length in too many bytes");
      at = 4;
    } else if (length === 127) {
      if (held.length < 10) return false;
      length = Number(held.readBigUInt64BE(2));
      if (length < 65_536) return this.#break("a length in too many bytes");
      at = 10;
    }
    if (held.length < at + length) return false;
    const payload = held.subarray(at, at + length);
    this.#held = held.subarray(at + length);
    return this.#took(first, payload);
  }

  #took(first: number, payload: Buffer): boolean {
    const fin = (first & 0x80) !== 0;
    const reserved = (first >> 4) & 7;
    const opcode = first & 15;
    // RFC 6455 §5.5.1 forbids data behind a Close frame; a pong may still come.
    if (this.#closed && opcode !== 10) return this.#break(`a frame ${opcode} behind a Close frame`);
    if (opcode >= 8) return this.#control(opcode, fin, reserved, payload);
    if (reserved !== 0 && !(reserved === 4 && this.#deflated && opcode !== 0))
      return this.#break("a reserved bit");
    if (opcode === 0 ? this.#opcode === 0 : this.#opcode !== 0) return this.#break("a frame out of order");
    if (opcode > 2) return this.#break(`an opcode of ${opcode}`);
    if (opcode !== 0) {
      this.#opcode = opcode;
      this.#compressed = reserved === 4;
    }
    this.#pieces.push(payload);
    if (!fin) return true;
    return this.#message();
  }

  #message(): boolean {
    let data = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    if (this.#compressed) {
      try {
        data = inflateRawSync(Buffer.concat([data, Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: 2 });
      } catch {
        return this.#break("a message that does not inflate");
      }
    }
    const text = this.#opcode === 1;
    this.#opcode = 0;
    this.#pieces = [];
    if (text && !isUtf8(data)) return this.#break("text that is not UTF-8");
    this.#events.message(text, data);
    return true;
  }

  #control(opcode: number, fin: boolean, reserved: number, payload: Buffer): boolean {
    if (!fin || reserved !== 0 || payload.length > 125) return this.#break("a malformed control frame");
    if (opcode === 9) this.#events.ping(payload);
    else if (opcode === 10) this.#events.pong(payload);
    else if (opcode !== 8) return this.#break(`an opcode of ${opcode}`);
    else {
      if (payload.length === 1) return this.#break("a Close of one byte");
      const code = payload.length === 0 ? -1 : payload.readUInt16BE(0);
      if (code >= 0 && (code < 1000 || code > 4999 || [1004, 1005, 1006, 1015].includes(code)))
        return this.#break(`a close code of ${code}`);
      const reason = payload.subarray(2);
      if (!isUtf8(reason)) return this.#break("a close reason that is not UTF-8");
      this.#closed = true;
      this.#events.close(code, reason.toString("utf8"));
    }
    return true;
  }
}
