// The client's half of RFC 6455 §5, written plainly and independently of src/: frames with every mistake one can make,
// and a reader of the server's frames.

import { Buffer } from "node:buffer";

export interface ClientFrame {
  readonly opcode: number;
  readonly payload?: string | Uint8Array;
  readonly fin?: boolean;
  /** The three RSV bits as a number: 4 is RSV1. */
  readonly rsv?: number;
  /** Four octets, or null for an unmasked frame. */
  readonly mask?: readonly number[] | null;
  /** How the length is written; the shortest form if left out. */
  readonly lengthForm?: 7 | 16 | 64;
  /** A length other than the payload's. */
  readonly length?: bigint;
}

export function clientFrame(frame: ClientFrame): Buffer {
  const payload = Buffer.from(frame.payload ?? "");
  const length = frame.length ?? BigInt(payload.length);
  const form = frame.lengthForm ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const mask = frame.mask === undefined ? [0x37, 0xfa, 0x21, 0x3d] : frame.mask;
  const first = ((frame.fin ?? true) ? 0x80 : 0) | ((frame.rsv ?? 0) << 4) | frame.opcode;
  const maskBit = mask === null ? 0 : 0x80;
  const header: number[] = [first];
  if (form === 7) header.push(maskBit | Number(length));
  if (form === 16) header.push(maskBit | 126, Number(length >> 8n), Number(length & 255n));
  if (form === 64) {
    header.push(maskBit | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) header.push(Number((length >> shift) & 255n));
  }
  if (mask === null) return Buffer.concat([Buffer.from(header), payload]);
  const masked = payload.map((octet, index) => octet ^ mask[index % 4]!);
  return Buffer.concat([Buffer.from(header), Buffer.from(mask), masked]);
}

export const text = (payload: string | Uint8Array, rest: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: 1, payload, ...rest });
export const binary = (payload: string | Uint8Array, rest: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: 2, payload, ...rest });
export const more = (payload: string | Uint8Array, rest: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: 0, payload, ...rest });
export const ping = (payload: string | Uint8Array = "", rest: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: 9, payload, ...rest });
export const pong = (payload: string | Uint8Array = "", rest: Partial<ClientFrame> = {}): Buffer =>
  clientFrame({ opcode: 10, payload, ...rest });

export function close(code?: number, reason: string | Uint8Array = ""): Buffer {
  if (code === undefined) return clientFrame({ opcode: 8 });
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
  return clientFrame({ opcode: 8, payload });
}

export interface ServerFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Reads whole server frames off the front of `bytes`. */
export function readServerFrames(bytes: Buffer): { frames: ServerFrame[]; rest: Buffer } {
  const frames: ServerFrame[] = [];
  let rest = bytes;
  for (;;) {
    const read = readServerFrame(rest);
    if (read === undefined) return { frames, rest };
    frames.push(read.frame);
    rest = rest.subarray(read.size);
  }
}

function readServerFrame(bytes: Buffer): { frame: ServerFrame; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  if ((bytes[1]! & 0x80) !== 0) throw new Error("a server frame must not be masked (RFC 6455 §5.1)");
  let length = bytes[1]!;
  let start = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    start = 4;
    if (length < 126) throw new Error("length not in its shortest form");
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    start = 10;
    if (length < 65_536) throw new Error("length not in its shortest form");
  }
  if (bytes.length < start + length) return undefined;
  const payload = bytes.subarray(start, start + length);
  const frame = { fin: bytes[0]! >= 0x80, rsv: (bytes[0]! >> 4) & 7, opcode: bytes[0]! & 15, payload };
  return { frame, size: start + length };
}
