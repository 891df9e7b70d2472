// Error codes (RFC 9113 §7), and the two ways to fail: a stream's fault resets the stream, a connection's fault ends
// the connection. The second is thrown, inside the core only, and becomes a GOAWAY and a `failed` event.

import { LimitError, ProtocolError } from "../errors.ts";

export const NO_ERROR = 0x0;
export const PROTOCOL_ERROR = 0x1;
export const INTERNAL_ERROR = 0x2;
export const FLOW_CONTROL_ERROR = 0x3;
export const SETTINGS_TIMEOUT = 0x4;
export const STREAM_CLOSED = 0x5;
export const FRAME_SIZE_ERROR = 0x6;
export const REFUSED_STREAM = 0x7;
export const CANCEL = 0x8;
export const COMPRESSION_ERROR = 0x9;
export const ENHANCE_YOUR_CALM = 0xb;

const NAMES =
  `NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR
REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED`.split(
    /\s+/,
  );

/** The registered name of an error code, for messages; codes nobody registered are shown in hexadecimal. */
export function errorCodeName(code: number): string {
  return NAMES[code] ?? `0x${code.toString(16)}`;
}

/** The connection cannot go on. `error` says why, `code` is what the peer is told. */
export class ConnectionFault extends Error {
  readonly code: number;
  readonly error: ProtocolError;

  constructor(code: number, error: ProtocolError) {
    super(error.message);
    this.code = code;
    this.error = error;
  }
}

/** The peer broke a rule of the connection. */
export function connectionFault(code: number, message: string, section: string): ConnectionFault {
  return new ConnectionFault(code, new ProtocolError(message, { section }));
}

/** A header block that cannot be decoded leaves the compression state unknown (RFC 9113 §4.3). */
export function compressionFault(message: string, section: string): ConnectionFault {
  return connectionFault(COMPRESSION_ERROR, message, section);
}

/** The peer does something too often, or asks for too much (RFC 9113 §10.5). */
export function calmDown(message: string, limit: string, max: number): ConnectionFault {
  const error = new LimitError(message, { section: "RFC 9113 §10.5", limit, max });
  return new ConnectionFault(ENHANCE_YOUR_CALM, error);
}
