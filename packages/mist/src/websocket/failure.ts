// How the WebSocket core says that the peer broke a rule: one place that knows the error's shape.

import { LimitError, ProtocolError } from "../errors.ts";
import { MESSAGE_TOO_BIG } from "./close-code.ts";

/** A broken rule of RFC 6455, or of RFC 7692 if `section` says so; `closeCode` is what the peer is to be told. */
export function protocolFailure(closeCode: number, message: string, section: string): ProtocolError {
  return new ProtocolError(message, {
    closeCode,
    section: section.includes("RFC") ? section : `RFC 6455 §${section}`,
  });
}

/** A message above one of the limits; the peer is told 1009. */
export function limitFailure(message: string, limit: string, value: number): LimitError {
  return new LimitError(message, {
    closeCode: MESSAGE_TOO_BIG,
    limit,
    max: value,
    section: "RFC 6455 §7.4.1",
  });
}

/** Whether the peer broke a rule, and can be told with a Close frame. */
export function isFailure(error: unknown): error is ProtocolError & { readonly closeCode: number } {
  return error instanceof ProtocolError && error.closeCode !== undefined;
}
