// Backpressure between producers and one consumer.
//
// Holds no bytes: the writing side blocks the flow, the draining side opens it again. An unblocked flow allocates
// nothing.

import { harmless } from "./actor/user-code.ts";

/** The promise that {@link Flow.whenRoom} gives while nothing is blocked: already resolved, and shared. */
const roomNow: Promise<void> = Promise.resolve();

interface Waiting {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

/** Whether a consumer keeps up, and a promise for producers that wait until it does. */
export class Flow {
  #blocked = false;
  #waiting: Waiting | undefined = undefined;
  #makeError: (() => unknown) | undefined = undefined;

  /** True from {@link block} until {@link open}: more is not welcome. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** True once {@link abandon} was called. */
  get abandoned(): boolean {
    return this.#makeError !== undefined;
  }

  /** The consumer takes less than it is given. */
  block(): void {
    if (this.#makeError === undefined) this.#blocked = true;
  }

  /** The consumer has caught up: resolves the promise that producers wait for. */
  open(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve();
  }

  /**
   * The consumer is gone: present and later waits reject with what `makeError` returns. It is called for those who wait
   * only: an error captures its stack, and at most ends nobody does.
   */
  abandon(makeError: () => unknown): void {
    if (this.#makeError !== undefined) return;
    this.#makeError = makeError;
    this.#blocked = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(makeError());
  }

  /**
   * Resolves when there is room: at once while nothing is blocked. Rejects when the flow is abandoned. All waits
   * share one promise, which may be ignored.
   */
  whenRoom(): Promise<void> {
    if (this.#makeError !== undefined) return quietRejection(this.#makeError());
    if (!this.#blocked) return roomNow;
    this.#waiting ??= newWaiting();
    return this.#waiting.promise;
  }
}

/** A promise that is rejected with `error`, and may be ignored. */
export function quietRejection(error: unknown): Promise<never> {
  return harmless(Promise.reject(error));
}

function newWaiting(): Waiting {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise: harmless(promise), resolve, reject };
}
