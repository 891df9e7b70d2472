// Close codes and reasons (RFC 6455 §7.4 and the IANA registry it founded).
//
// Owns which codes may appear in a Close frame. Codes that only name a local condition (1005, 1006, 1015) are never
// sent, and refused when received.

export const NORMAL_CLOSURE = 1000;
export const GOING_AWAY = 1001;
export const PROTOCOL_ERROR = 1002;
/** Local only: the Close frame had no code. */
export const NO_STATUS_RECEIVED = 1005;
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
  /** `""` if there is none. */
  readonly reason: string;
}

/**
 * May this code stand in a Close frame? RFC 6455 §7.4.1–2 and IANA: 1000–1003, 1007–1014, and the ranges for
 * libraries (3000–3999) and applications (4000–4999).
 */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
