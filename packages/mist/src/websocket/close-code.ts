// Close codes and reasons (RFC 6455 §7.4 and the IANA registry it founded).
//
// Owns which codes may appear in a Close frame and the coding of its payload. Codes that only name a local
// condition (1005, 1006, 1015) never reach the wire and are refused from it.

import { Buffer, isUtf8 } from "node:buffer";
import { protocolFailure } from "./failure.ts";

export const NORMAL_CLOSURE = 1000;
export const GOING_AWAY = 1001;
export const PROTOCOL_ERROR = 1002;
/** Local only: the Close frame had no code. */
const NO_STATUS_RECEIVED = 1005;
/** Local only: the connection was lost without a Close frame. */
export const ABNORMAL_CLOSURE = 1006;
export const INVALID_PAYLOAD = 1007;
export const MESSAGE_TOO_BIG = 1009;
export const INTERNAL_ERROR = 1011;

/** Octets of a close reason: a control frame's 125 less the code (RFC 6455 §5.5). */
export const maxCloseReasonBytes = 123;

/** What a Close frame said. */
export interface CloseStatus {
  /** 1005 if the frame had no code. */
  readonly code: number;
  readonly reason: string;
}

const noStatus: CloseStatus = { code: NO_STATUS_RECEIVED, reason: "" };

/**
 * May this code stand in a Close frame? RFC 6455 §7.4.1–2 and IANA: 1000–1003, 1007–1014, and the ranges for
 * libraries (3000–3999) and applications (4000–4999).
 */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/** Decodes the payload of a Close frame. @throws ProtocolError 1002 or 1007 */
export function decodeClosePayload(payload: Buffer): CloseStatus {
  if (payload.length === 0) return noStatus;
  // RFC 6455 §5.5.1: if there is a body, its first two octets MUST be a code.
  if (payload.length === 1) throw protocolFailure(PROTOCOL_ERROR, "Close frame of one octet", "5.5.1");
  const code = payload.readUInt16BE(0);
  if (!isSendableCloseCode(code)) {
    throw protocolFailure(PROTOCOL_ERROR, `close code ${code} may not be sent`, "7.4");
  }
  const reason = payload.subarray(2);
  if (!isUtf8(reason)) throw protocolFailure(INVALID_PAYLOAD, "close reason is not UTF-8", "5.5.1");
  return { code, reason: reason.toString("utf8") };
}

/** The payload of a Close frame; empty for {@link NO_STATUS_RECEIVED}. A reason too long is cut at a character. */
export function encodeClosePayload(code: number, reason: string): Buffer {
  if (code === NO_STATUS_RECEIVED) return Buffer.alloc(0);
  const text = Buffer.from(reason, "utf8");
  let length = Math.min(text.length, maxCloseReasonBytes);
  // Never cut a character in two: step back over continuation octets.
  if (length < text.length) while (length > 0 && (text[length]! & 0xc0) === 0x80) length--;
  const payload = Buffer.allocUnsafe(2 + length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2, 0, length);
  return payload;
}
