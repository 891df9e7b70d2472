// Frames (RFC 9113 §4.1, §6): types, flags, the nine octets every frame starts with, and the connection preface.

import { Buffer } from "node:buffer";
import type { ByteSink } from "./byte-sink.ts";

export const DATA = 0x0;
export const HEADERS = 0x1;
export const PRIORITY = 0x2;
export const RST_STREAM = 0x3;
export const SETTINGS = 0x4;
export const PUSH_PROMISE = 0x5;
export const PING = 0x6;
export const GOAWAY = 0x7;
export const WINDOW_UPDATE = 0x8;
export const CONTINUATION = 0x9;
/** RFC 9218 §7.1. */
export const PRIORITY_UPDATE = 0x10;

export const ACK = 0x1;
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const WITH_PRIORITY = 0x20;

export const HEADER_LENGTH = 9;
/** The largest payload a peer may send: never announced otherwise (RFC 9113 §4.2). */
export const MAX_FRAME_SIZE = 16_384;

/** What a client says first (RFC 9113 §3.4). */
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Do the first bytes of a connection announce HTTP/2 with prior knowledge (RFC 9113 §3.3)? `"incomplete"`: they may
 * yet. One octet decides against almost every other protocol.
 */
export function recognisePreface(bytes: Uint8Array): "http2" | "other" | "incomplete" {
  const count = Math.min(bytes.length, PREFACE.length);
  for (let i = 0; i < count; i++) if (bytes[i] !== PREFACE[i]) return "other";
  return count === PREFACE.length ? "http2" : "incomplete";
}

/** A big-endian number of four octets. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return readUint31(bytes, at) + ((bytes[at] as number) >= 0x80 ? 0x8000_0000 : 0);
}

/** A big-endian number of four octets without its first bit, which is reserved in stream ids and increments. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) & 0x7f) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** Writes the nine octets in front of a payload of `length` bytes, and makes room for `reserve` of them. */
export function writeFrameHeader(
  sink: ByteSink,
  length: number,
  type: number,
  flags: number,
  id: number,
  reserve: number = length,
): void {
  sink.reserve(HEADER_LENGTH + reserve);
  const { bytes } = sink;
  const at = sink.length;
  bytes[at] = length >> 16;
  bytes[at + 1] = length >> 8;
  bytes[at + 2] = length;
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  writeUint32At(bytes, at + 5, id);
  sink.length = at + HEADER_LENGTH;
}

export function writeUint32(sink: ByteSink, value: number): void {
  sink.reserve(4);
  writeUint32At(sink.bytes, sink.length, value);
  sink.length += 4;
}

function writeUint32At(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}
