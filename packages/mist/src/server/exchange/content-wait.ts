// How long a reader has waited for the peer's content, and whether what came in that time was enough.

import { clock } from "@x/glisten/kit";
import { RequestTimeoutError } from "../../errors.ts";

// Waiting time a body may have before its rate counts.
const graceMs = 5_000;

/** The waiting time of one request body. The time that the handler takes does not count. */
export class ContentWait {
  #since = 0;
  #totalMs = 0;

  begin(): void {
    this.#since = clock.now();
  }

  /**
   * Bytes came. How many must have come by now; 0 while the grace lasts, and for a rate of 0. A peer that dribbles would
   * otherwise keep a handler waiting for as long as it likes.
   */
  bytesDue(minBodyRate: number): number {
    const now = clock.now();
    this.#totalMs += now - this.#since;
    this.#since = now;
    return this.#totalMs < graceMs ? 0 : (minBodyRate * this.#totalMs) / 1000;
  }

  /** What the reader is told when fewer have come. */
  tooSlow(minBodyRate: number): RequestTimeoutError {
    const timeoutMs = Math.round(this.#totalMs);
    const message = `the request body came in at less than ${minBodyRate} bytes per second for ${timeoutMs} ms (minBodyRate)`;
    return new RequestTimeoutError("minBodyRate", timeoutMs, { message });
  }

  /** The wait is over. False if there was none. */
  end(): boolean {
    const waited = this.#since !== 0;
    this.#since = 0;
    return waited;
  }
}
