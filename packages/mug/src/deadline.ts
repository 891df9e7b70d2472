// Timeouts. Every timeout lets the event loop poll once more before it expires: what arrived in time but went
// unnoticed because the process was busy still counts as in time.

import { clock, type Timer } from "./clock.ts";
import { abortedError, DeadlineError, type MugError } from "./errors.ts";

/** When to give up waiting: at an instant, or when a signal fires. */
export class Deadline {
  readonly #timeoutMs: number;
  readonly #at: number;
  readonly #signal: AbortSignal | undefined;

  constructor(wait: { readonly timeout?: number | undefined; readonly signal?: AbortSignal | undefined }) {
    this.#timeoutMs = wait.timeout ?? Number.POSITIVE_INFINITY;
    this.#at = clock.now() + this.#timeoutMs;
    this.#signal = wait.signal;
  }

  /** Settles as the promise does, or rejects at the deadline. */
  limit<T>(what: string, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = this.onExpiry(what, reject);
      promise.finally(stop).then(resolve, reject);
    });
  }

  /** Calls back at most once, never inside this call. Returns a function that stops the waiting. */
  onExpiry(what: string, expired: (error: MugError) => void): () => void {
    const signal = this.#signal;
    let stopped = false;
    let timer: Timer | undefined;
    const expire = (error: MugError): void => {
      stop();
      expired(error);
    };
    const soon = (error: () => MugError): void => {
      clock.nextTurn(() => stopped || expire(error()));
    };
    const onAbort = (): void => expire(abortedError(what, signal!));
    const stop = (): void => {
      stopped = true;
      clock.clearTimer(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    if (signal?.aborted) soon(() => abortedError(what, signal));
    else signal?.addEventListener("abort", onAbort, { once: true });
    if (this.#timeoutMs !== Number.POSITIVE_INFINITY) {
      const left = Math.max(0, this.#at - clock.now());
      timer = clock.setTimer(() => soon(() => new DeadlineError(what, this.#timeoutMs)), left);
    }
    return stop;
  }
}

/**
 * One timer for all receives of a socket. A receive that is answered in time leaves the timer running and the next one
 * only moves the instant, so a round trip with a timeout creates no timer. Never keeps the process alive.
 */
export class DeadlineTimer {
  readonly #expired: () => void;
  #timer: Timer | undefined;
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
    const deadline = clock.now() + ms;
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
    clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Zero means "what is there now". Bytes may be in the kernel and not yet here, so the event loop gets one
   * whole poll first: the first immediate may run in the phase that is already past it, the second cannot.
   */
  #afterOnePoll(): void {
    const poll = {};
    this.#poll = poll;
    clock.nextTurn(() => clock.nextTurn(() => this.#poll === poll && this.#expire()));
  }

  #start(ms: number, firesAt: number): void {
    clock.clearTimer(this.#timer);
    this.#firesAt = firesAt;
    this.#timer = clock.setTimer(() => this.#fired(), ms);
    this.#timer.unref();
  }

  #fired(): void {
    this.#timer = undefined;
    if (this.#deadline !== Number.POSITIVE_INFINITY) clock.nextTurn(() => this.#check());
  }

  #check(): void {
    if (this.#deadline === Number.POSITIVE_INFINITY || this.#timer !== undefined) return;
    const left = this.#deadline - clock.now();
    // Node's timers may fire up to a millisecond early.
    if (left < 1) this.#expire();
    else this.#start(Math.ceil(left), this.#deadline);
  }

  #expire(): void {
    this.clear();
    this.#expired();
  }
}
