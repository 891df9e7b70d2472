/**
 * Timeouts. What has already happened when the time is up, and was only not heard of because the process was
 * busy, counts as in time: every timeout lets the event loop poll once more before it expires.
 *
 * There is one timer for all the timeouts of a socket's receives. A receive that is answered in time leaves the timer
 * running and the next one only moves the instant, so a round trip with a timeout costs no timer of its own.
 */

/** Calls `expired` when the instant last set has passed and was not cleared. Never keeps the process alive. */
export class DeadlineTimer {
  readonly #expired: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** When the running timer fires. */
  #firesAt = 0;
  #deadline = Number.POSITIVE_INFINITY;
  /** The zero deadline that is waiting for its poll. */
  #poll: object | undefined;

  constructor(expired: () => void) {
    this.#expired = expired;
  }

  /** Sets the one deadline, `ms` from now. */
  set(ms: number): void {
    if (ms === 0) {
      this.#afterOnePoll();
      return;
    }
    const deadline = performance.now() + ms;
    this.#deadline = deadline;
    if (this.#timer !== undefined && this.#firesAt <= deadline) return;
    this.#start(ms, deadline);
  }

  clear(): void {
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#poll = undefined;
  }

  /** Clears, and lets go of the timer. */
  stop(): void {
    this.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Zero means "what is there now". Bytes may be in the kernel and not yet here, so the event loop gets one
   * whole poll first: the first immediate may run in the phase that is already past it, the second cannot.
   */
  #afterOnePoll(): void {
    const poll = {};
    this.#poll = poll;
    setImmediate(() => setImmediate(() => this.#poll === poll && this.#expire()));
  }

  #start(ms: number, firesAt: number): void {
    clearTimeout(this.#timer);
    this.#firesAt = firesAt;
    this.#timer = setTimeout(() => this.#fired(), ms);
    this.#timer.unref();
  }

  #fired(): void {
    this.#timer = undefined;
    if (this.#deadline !== Number.POSITIVE_INFINITY) setImmediate(() => this.#check());
  }

  #check(): void {
    if (this.#deadline === Number.POSITIVE_INFINITY || this.#timer !== undefined) return;
    const left = this.#deadline - performance.now();
    // Node's timers may fire up to a millisecond early.
    if (left < 1) this.#expire();
    else this.#start(Math.ceil(left), this.#deadline);
  }

  #expire(): void {
    this.clear();
    this.#expired();
  }
}

/** A single timeout; gives the way to call it off. Infinity never expires. */
export function startTimeout(ms: number, expired: () => void): () => void {
  if (ms === Number.POSITIVE_INFINITY) return () => {};
  let immediate: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    immediate = setImmediate(expired);
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
