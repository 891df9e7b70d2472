/**
 * A listener on the wire of one socket. Chunks are the real ones: look, do not keep and do not change them.
 */

/** What can happen to a socket besides bytes. */
export type TapEvent = "end" | "half-close" | "shutdown" | "close" | "reset" | "secure" | "closed" | "error";

/** Hears what goes over a socket. Chunks are the real ones: look, and neither keep nor change them. */
export interface Tap {
  /** Bytes have arrived from the peer. */
  received?(bytes: Uint8Array): void;
  /** Bytes were handed to the socket for sending. */
  sent?(bytes: Uint8Array | string): void;
  /** Something happened: ours (`half-close`, `shutdown`, `close`, `reset`), the peer's (`end`, `error`) or both's (`secure`, `closed`). */
  event?(event: TapEvent, detail?: string): void;
}
