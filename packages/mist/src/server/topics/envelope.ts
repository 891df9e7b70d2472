// A message on its way between processes: the bytes that relays carry.
//
//   octet 0        version, 1
//   octet 1        kind: 0 text, 1 bytes, 2 event
//   octets 2–7     publisher
//   octets 8–15    its time, big-endian
//   event only     retry in 4 octets (2^32-1: none), length of the name in 2 (2^16-1: none), the name in UTF-8
//   rest           the data; text and events in UTF-8
//
// What comes from a broker may be anybody's, so the decoder believes nothing: it gives `undefined` for whatever the
// encoder would not have written.

import { Buffer, isUtf8 } from "node:buffer";
import { UsageError } from "../../errors.ts";
import { event, type ServerSentEvent } from "../../sse/event.ts";
import { type Content, isEvent } from "./message.ts";

const version = 1;
const text = 0;
const bytes = 1;
const sse = 2;

const headSize = 16;
const noRetry = 0xffff_ffff;
const noName = 0xffff;
/** Octets of an event's name. */
export const maxEventName = 1024;
const maxTime = 2 ** 53;

/** What an envelope holds. */
export interface Opened {
  readonly origin: string;
  readonly time: number;
  readonly content: Content;
}

export function encodeEnvelope(origin: string, time: number, content: Content): Buffer {
  const data = isEvent(content) ? content.data : content;
  const payload = typeof data === "string" ? Buffer.from(data) : data;
  const fields = isEvent(content) ? eventFields(content) : nothing;
  const envelope = Buffer.allocUnsafe(headSize + fields.length + payload.length);
  envelope[0] = version;
  envelope[1] = isEvent(content) ? sse : typeof content === "string" ? text : bytes;
  envelope.write(origin, 2, 6, "base64url");
  envelope.writeBigUInt64BE(BigInt(time), 8);
  envelope.set(fields, headSize);
  envelope.set(payload, headSize + fields.length);
  return envelope;
}

/** The publisher and the content; undefined for what is no envelope. */
export function decodeEnvelope(from: Uint8Array): Opened | undefined {
  const envelope = Buffer.from(from.buffer, from.byteOffset, from.byteLength);
  if (envelope.length < headSize || envelope[0] !== version) return undefined;
  const time = Number(envelope.readBigUInt64BE(8));
  if (time >= maxTime) return undefined;
  const content = decodeContent(envelope[1] as number, envelope.subarray(headSize));
  if (content === undefined) return undefined;
  return { origin: envelope.toString("base64url", 2, 8), time, content };
}

const nothing: Buffer = Buffer.alloc(0);

function eventFields({ name, retry }: ServerSentEvent): Buffer {
  const written = Buffer.from(name ?? "");
  const fields = Buffer.allocUnsafe(6 + written.length);
  fields.writeUInt32BE(retry === undefined ? noRetry : Math.min(retry, noRetry - 1), 0);
  fields.writeUInt16BE(name === undefined ? noName : written.length, 4);
  fields.set(written, 6);
  return fields;
}

function decodeContent(kind: number, rest: Buffer): Content | undefined {
  if (kind === bytes) return rest;
  if (!isUtf8(rest) && kind !== sse) return undefined;
  if (kind === text) return rest.toString();
  return kind === sse ? decodeEvent(rest) : undefined;
}

function decodeEvent(rest: Buffer): ServerSentEvent | undefined {
  if (rest.length < 6) return undefined;
  const retry = rest.readUInt32BE(0);
  const length = rest.readUInt16BE(4);
  const dataAt = 6 + (length === noName ? 0 : length);
  if ((length !== noName && length > maxEventName) || dataAt > rest.length) return undefined;
  const [name, data] = [rest.subarray(6, dataAt), rest.subarray(dataAt)];
  if (!isUtf8(name) || !isUtf8(data)) return undefined;
  try {
    let made = event(data.toString());
    if (retry !== noRetry) made = made.eventRetry(retry);
    return length === noName ? made : made.eventName(name.toString());
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
