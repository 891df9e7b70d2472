// Frames (RFC 6455 §5.2): reading their headers and writing them.
//
// Reading a header consumes nothing until it is complete. It refuses what no later octet could put right: RSV bits
// nobody negotiated, reserved opcodes, long or fragmented control frames, frames without a mask, lengths not in their
// shortest form or above 2^53.

import { Buffer } from "node:buffer";
import { PROTOCOL_ERROR } from "./close-code.ts";
import { protocolFailure } from "./failure.ts";
import { applyMask, readMaskingKey } from "./mask.ts";

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

export const FIN = 0x80;
/** Marks a compressed message (RFC 7692 §6). */
export const RSV1 = 0x40;

/** RFC 6455 §5.5 */
export const maxControlPayload = 125;
/** Two octets, eight of length, four of masking key. */
export const maxHeaderBytes = 14;

/** What {@link readHeader} found. */
export interface FrameHeader {
  /** FIN, RSV and opcode, as they came. */
  first: number;
  length: number;
  key: number;
}

/**
 * Reads the header beginning at `offset` into `header`. Consumes nothing.
 *
 * @param rsv1Allowed has an extension claimed RSV1?
 * @param masked must the frame be masked, as a client's, or not, as a server's?
 * @returns where the payload begins, or -1 if the header is not complete
 * @throws ProtocolError 1002, as soon as the octets there show it
 */
export function readHeader(
  bytes: Buffer,
  offset: number,
  rsv1Allowed: boolean,
  header: FrameHeader,
  masked = true,
): number {
  const available = bytes.length - offset;
  if (available < 2) return -1;
  const first = bytes[offset]!;
  const second = bytes[offset + 1]!;
  // The common case in one test: FIN, no RSV, text or binary, masked.
  if (!((first === 0x81 || first === 0x82) && second >= 0x80 && masked)) {
    checkRules(first, second, rsv1Allowed, masked);
  }
  const short = second & 0x7f;
  const lengthEnd = short < 126 ? 2 : short === 126 ? 4 : 10;
  const size = masked ? lengthEnd + 4 : lengthEnd;
  if (available < size) return -1;
  header.first = first;
  header.length = short < 126 ? short : readLongLength(bytes, offset + 2, short);
  header.key = masked ? readMaskingKey(bytes, offset + lengthEnd) : 0;
  return offset + size;
}

function checkRules(first: number, second: number, rsv1Allowed: boolean, masked: boolean): void {
  const opcode = first & 0x0f;
  const rsv1 = (first & RSV1) !== 0;
  // §5.2: RSV bits MUST be 0 unless an extension is negotiated that defines them.
  if ((first & 0x30) !== 0) throw protocolFailure(PROTOCOL_ERROR, "RSV2 or RSV3 is set", "5.2");
  if (rsv1 && !rsv1Allowed) throw protocolFailure(PROTOCOL_ERROR, "RSV1 is set", "5.2");
  if (opcode > PONG || (opcode > BINARY && opcode < CLOSE)) {
    throw protocolFailure(PROTOCOL_ERROR, `opcode ${opcode} is reserved`, "5.2");
  }
  if (opcode >= CLOSE) {
    if (first < FIN) throw protocolFailure(PROTOCOL_ERROR, "fragmented control frame", "5.5");
    if ((second & 0x7f) > maxControlPayload) {
      throw protocolFailure(PROTOCOL_ERROR, "control frame above 125 octets", "5.5");
    }
  }
  // RFC 7692 §6.1: only the first frame of a data message may carry the bit.
  if (rsv1 && (opcode >= CLOSE || opcode === CONTINUATION)) {
    throw protocolFailure(PROTOCOL_ERROR, "RSV1 is set on a control or continuation frame", "RFC 7692 §6.1");
  }
  // §5.1: a server MUST close the connection upon receiving a frame that is not masked, a client one that is.
  if (second >= 0x80 === masked) return;
  throw protocolFailure(PROTOCOL_ERROR, masked ? "frame is not masked" : "frame is masked", "5.1");
}

function readLongLength(bytes: Buffer, offset: number, short: number): number {
  if (short === 126) {
    const length = bytes.readUInt16BE(offset);
    // §5.2: the minimal number of bytes MUST be used.
    if (length < 126) throw protocolFailure(PROTOCOL_ERROR, "length is not in its shortest form", "5.2");
    return length;
  }
  const high = bytes.readUInt32BE(offset);
  const length = high * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4);
  // §5.2: the most significant bit MUST be 0. Above 2^53 a length is no exact number here, and no limit admits it.
  if (high >= 0x8000_0000) throw protocolFailure(PROTOCOL_ERROR, "length has its highest bit set", "5.2");
  if (length < 65_536) throw protocolFailure(PROTOCOL_ERROR, "length is not in its shortest form", "5.2");
  return length;
}

/** Octets of an unmasked header in front of that many octets of payload. */
export function headerSize(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

/** Writes an unmasked header; `first` is the octet of FIN, RSV and opcode. Returns where the payload begins. */
export function writeHeader(target: Buffer, offset: number, first: number, length: number): number {
  target[offset] = first;
  if (length < 126) {
    target[offset + 1] = length;
    return offset + 2;
  }
  if (length < 65_536) {
    target[offset + 1] = 126;
    return target.writeUInt16BE(length, offset + 2);
  }
  target[offset + 1] = 127;
  target.writeUInt32BE(Math.floor(length / 0x1_0000_0000), offset + 2);
  return target.writeUInt32BE(length >>> 0, offset + 6);
}

/** The header of an unfragmented text message as text itself, one character an octet (latin1). */
export function textHeader(length: number): string {
  if (length < 126) return shortTextHeaders[length]!;
  if (length < 65_536) return String.fromCharCode(FIN | TEXT, 126, length >>> 8, length & 0xff);
  return encodeHeader(FIN | TEXT, length).toString("latin1");
}

/** The header of a pong, as {@link textHeader}. */
export function pongHeader(length: number): string {
  return pongHeaders[length]!;
}

const shortTextHeaders: readonly string[] = shortHeaders(FIN | TEXT);
const pongHeaders: readonly string[] = shortHeaders(FIN | PONG);

function shortHeaders(first: number): string[] {
  return Array.from({ length: maxControlPayload + 1 }, (_, length) => String.fromCharCode(first, length));
}

/** An unmasked header alone. */
function encodeHeader(first: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(headerSize(length));
  writeHeader(header, 0, first, length);
  return header;
}

/** A whole unmasked frame: servers never mask (RFC 6455 §5.1). */
export function encodeFrame(first: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerSize(payload.length) + payload.length);
  frame.set(payload, writeHeader(frame, 0, first, payload.length));
  return frame;
}

/** A whole frame of a client's: masked with a key of four octets, which it takes from a source of randomness (§5.3). */
export function encodeMaskedFrame(first: number, payload: Uint8Array, key: Uint8Array): Buffer {
  const size = headerSize(payload.length);
  const frame = Buffer.allocUnsafe(size + 4 + payload.length);
  writeHeader(frame, 0, first, payload.length);
  frame[1]! |= 0x80;
  frame.set(key, size);
  frame.set(payload, size + 4);
  applyMask(frame, size + 4, frame.length, readMaskingKey(key, 0));
  return frame;
}
