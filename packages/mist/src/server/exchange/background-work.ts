// Promises that outlive their response and that `stop` waits for.

import { callUser, clock } from "@x/glisten/kit";

/** A timer of Node's takes no more. */
const longestMs = 2 ** 31 - 1;

/** Work that handlers gave to `waitUntil`. */
export class BackgroundWork {
  readonly #pending = new Set<Promise<void>>();
  #settled: Promise<void> | undefined = undefined;
  #giveUp: () => void = () => {};

  /** Holds `work` until it settles; `onError` hears of its rejection. */
  add(work: Promise<unknown>, onError: (error: unknown) => void): void {
    const settled = callUser(() => work, undefined, onError);
    if (settled === undefined) return;
    this.#pending.add(settled);
    void settled.then(() => this.#pending.delete(settled));
  }

  /** Resolves when nothing is left, or after `deadlineMs`: the shortest of those it is called with. */
  async settle(deadlineMs: number): Promise<void> {
    if (this.#pending.size === 0) return;
    if (this.#settled === undefined) {
      const givenUp = new Promise<void>((resolve) => {
        this.#giveUp = resolve;
      });
      this.#settled = Promise.race([this.#idle(), givenUp]);
    }
    const timer = clock.setTimer(this.#giveUp, Math.min(deadlineMs, longestMs));
    await this.#settled;
    clock.clearTimer(timer);
  }

  async #idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}
