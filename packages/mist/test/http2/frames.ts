// Frames to feed a core with, and the frames it answers with, read by a second implementation.

import { Buffer } from "node:buffer";
import { HpackDecoder } from "../../src/http2/hpack/decoder.ts";

export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
  PRIORITY_UPDATE: 16,
} as const;

// Error codes (RFC 9113 §7), as the tests know them.
export const NO_ERROR = 0x0;
export const PROTOCOL_ERROR = 0x1;
export const FLOW_CONTROL_ERROR = 0x3;
export const STREAM_CLOSED = 0x5;
export const FRAME_SIZE_ERROR = 0x6;
export const REFUSED_STREAM = 0x7;
export const COMPRESSION_ERROR = 0x9;
export const ENHANCE_YOUR_CALM = 0xb;

export const ACK = 0x1;
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITY = 0x20;

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Buffer | string | readonly number[] = [],
): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, body]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = pairs.map(([id, value]) =>
    Buffer.concat([Buffer.from([id >> 8, id & 0xff]), uint32(value)]),
  );
  return frame(TYPE.SETTINGS, 0, 0, Buffer.concat(payload));
}

export const SETTINGS_ACK: Buffer = frame(TYPE.SETTINGS, ACK, 0);
export const HELLO: Buffer = Buffer.concat([PREFACE, settings(), SETTINGS_ACK]);
export const PING: Buffer = frame(TYPE.PING, 0, 0, "12345678");

export type FieldList = readonly (readonly [string, string])[];

export const GET: FieldList = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a.example"],
];
export const POST: FieldList = [[":method", "POST"], ...GET.slice(1)];

/** A header block of literals without indexing: it changes no table. */
export function block(fields: FieldList): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** A string literal without Huffman coding (RFC 7541 §5.2). */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

export function headers(id: number, fields: FieldList, flags: number = END_STREAM | END_HEADERS): Buffer {
  return frame(TYPE.HEADERS, flags, id, block(fields));
}

export function data(id: number, payload: string | Buffer, flags = 0): Buffer {
  return frame(TYPE.DATA, flags, id, payload);
}

export function windowUpdate(id: number, increment: number): Buffer {
  return frame(TYPE.WINDOW_UPDATE, 0, id, uint32(increment));
}

export function reset(id: number, code = 8): Buffer {
  return frame(TYPE.RST_STREAM, 0, id, uint32(code));
}

/** A frame as it was sent. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Cuts up what a core has sent. */
export class FrameParser {
  readonly frames: Frame[] = [];
  readonly #decoder = new HpackDecoder();
  #rest: Buffer = Buffer.alloc(0);

  add(bytes: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) return;
      this.frames.push({
        type: this.#rest[3] as number,
        flags: this.#rest[4] as number,
        id: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(9, 9 + length),
      });
      this.#rest = this.#rest.subarray(9 + length);
    }
  }

  /** The frames taken since the last time. */
  take(): Frame[] {
    return this.frames.splice(0);
  }

  /** The fields of a header block; to be called for each block once, in order. */
  fields(block: Buffer): [string, string][] {
    const fields: [string, string][] = [];
    this.#decoder.decode(block, 0, block.length, {
      field: ({ name, value }) => fields.push([name, value]),
    });
    return fields;
  }
}
