// A listener on the wire of one socket.

import { callUser } from "../unhandled.ts";

/** What can happen to a socket besides bytes. */
export type TapEvent = "end" | "half-close" | "shutdown" | "close" | "reset" | "secure" | "closed" | "error";

/**
 * Observes a socket. Chunks are the real ones: do not keep or change them. A tap that throws or rejects causes a
 * process warning (`MugCallbackWarning`) and does not affect the socket.
 */
export interface Tap {
  /** Bytes have arrived from the peer. */
  received?(bytes: Buffer): unknown;
  /** Bytes were handed to the socket for sending. */
  sent?(bytes: string | Uint8Array): unknown;
  /** This side acted (`half-close`, `shutdown`, `close`, `reset`), the peer did (`end`, `error`), or both (`secure`, `closed`). */
  event?(event: TapEvent, detail?: string): unknown;
}

/** The tap a socket calls: one that cannot fail. */
export interface SafeTap {
  received(bytes: Buffer): void;
  sent(bytes: string | Uint8Array): void;
  event(event: TapEvent, detail?: string): void;
}

export function safeTap(tap: Tap | undefined): SafeTap | undefined {
  if (tap === undefined) return undefined;
  return {
    received: (bytes) => callUser("tap.received", () => tap.received?.(bytes)),
    sent: (bytes) => callUser("tap.sent", () => tap.sent?.(bytes)),
    event: (event, detail) => callUser("tap.event", () => tap.event?.(event, detail)),
  };
}
