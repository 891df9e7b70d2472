// The payload of a Close frame (RFC 6455 §5.5.1): a code, and a reason in UTF-8.

import { Buffer, isUtf8 } from "node:buffer";
import {
  type CloseStatus,
  INVALID_PAYLOAD,
  isSendableCloseCode,
  maxCloseReasonBytes,
  NO_STATUS_RECEIVED,
  PROTOCOL_ERROR,
} from "./close-code.ts";
import { protocolFailure } from "./failure.ts";

const noStatus: CloseStatus = { code: NO_STATUS_RECEIVED, reason: "" };

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
