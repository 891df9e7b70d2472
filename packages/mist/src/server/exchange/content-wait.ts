// How long a reader has waited for the peer's content, and whether what came in that time was enough.

import { performance } from "node:perf_hooks";
import { RequestTimeoutError } from "../../errors.ts";

// Waiting time a body may have before its rate counts.
const graceMs = 5_000;

/** The waiting time of one request body. The time that the handler takes does not count. */
export class ContentWait {
  #since = 0;
  #totalMs = 0;

  /** Milliseconds waited for this body so far. */
  get totalMs(): number {
    return this.#totalMs;
  }

  begin(): void {
    this.#since = performance.now();
  }

  /** Bytes came; there may be too few of them. */
  count(): void {
    const now = performance.now();
    this.#totalMs += now - this.#since;
    this.#since = now;
  }

  /** The wait is over. False if there was none. */
  end(): boolean {
    const waited = this.#since !== 0;
    this.#since = 0;
    return waited;
  }

  /**
   * How many bytes must have come by now. A peer that dribbles would otherwise keep a handler waiting for as long as it
   * likes. 0 while the grace lasts, and for a rate of 0.
   */
  bytesDue(bytesPerSecond: number): number {
    return this.#totalMs < graceMs ? 0 : (bytesPerSecond * this.#totalMs) / 1000;
  }
}

/** What the reader of a body is told that came at less than `minBodyRate` bytes per second. */
export function bodyTooSlow(minBodyRate: number, waitedMs: number): RequestTimeoutError {
  const timeoutMs = Math.round(waitedMs);
  const message = `the request body came in at less than ${minBodyRate} bytes per second for ${timeoutMs} ms (minBodyRate)`;
  return new RequestTimeoutError("minBodyRate", timeoutMs, { message });
}
