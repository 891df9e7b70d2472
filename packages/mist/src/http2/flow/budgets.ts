// A budget over time for what is harmless once and an attack when it does not stop: so much at once, and so much per
// second.

import { calmDown } from "../errors.ts";

export class Budget {
  readonly #what: string;
  readonly #limit: string;
  readonly #burst: number;
  readonly #perMs: number;
  #spent = 0;
  #at = 0;

  /** @param limit the option's name. */
  constructor(what: string, limit: string, burst: number, perSecond: number) {
    this.#what = what;
    this.#limit = limit;
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
  }

  /** Spends `cost` at the instant `now`, in ms. Throws a `ConnectionFault` when there is not so much left. */
  spend(cost: number, now: number): void {
    if (now > this.#at) {
      this.#spent = Math.max(0, this.#spent - (now - this.#at) * this.#perMs);
      this.#at = now;
    }
    this.#spent += cost;
    if (this.#spent > this.#burst) throw calmDown(`too many ${this.#what}`, this.#limit, this.#burst);
  }

  /** Gives back what useful work has earned. */
  earn(amount: number): void {
    this.#spent = Math.max(0, this.#spent - amount);
  }
}
