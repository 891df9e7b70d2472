// How long a reader has waited for the peer's content, and whether what came in that time was enough.

import { performance } from "node:perf_hooks";

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

  /** A peer that dribbles would otherwise keep a handler waiting for as long as it likes. 0: no rate is asked for. */
  tooSlow(bytes: number, bytesPerSecond: number): boolean {
    if (bytesPerSecond === 0 || this.#totalMs < graceMs) return false;
    return bytes < (bytesPerSecond * this.#totalMs) / 1000;
  }
}
