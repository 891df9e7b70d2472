// Turns at work whose output is held in memory: so much of it may be in the making at once, for the whole process.
// Whoever comes later waits, first come, first served. Without it, what a few hundred clients have inflated at the
// same moment is all in memory together.

import { TransportError } from "@x/glisten";

/** A place in the line. */
export interface Turn {
  /** Resolves when it is one's turn. Rejects when {@link leave} is called before. */
  readonly come: Promise<void>;
  /** The work will not be done after all. Work under way goes on to its end. */
  leave(): void;
  /** The work is done. */
  end(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

export class Turns {
  readonly #maxBytes: number;
  readonly #maxAtOnce: number;
  #bytes = 0;
  #atOnce = 0;
  /** In the order they came. */
  readonly #waiting = new Set<Waiting>();

  /**
   * @param maxBytes output of all work under way; more than that is made alone
   * @param maxAtOnce pieces of work under way
   */
  constructor(maxBytes: number, maxAtOnce: number) {
    this.#maxBytes = maxBytes;
    this.#maxAtOnce = maxAtOnce;
  }

  /** Work under way: its output at most, and how many pieces. */
  get underWay(): { readonly bytes: number; readonly atOnce: number } {
    return { bytes: this.#bytes, atOnce: this.#atOnce };
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Asks for a turn at work that makes at most `bytes` of output. */
  take(bytes: number): Turn {
    let begin!: () => void;
    let giveUp!: (error: unknown) => void;
    const come = new Promise<void>((resolve, reject) => {
      begin = resolve;
      giveUp = reject;
    });
    const waiting = { bytes, begin };
    this.#waiting.add(waiting);
    this.#advance();
    const leave = (): void => {
      if (!this.#waiting.delete(waiting)) return;
      giveUp(new TransportError("closed"));
      this.#advance();
    };
    const end = (): void => {
      this.#atOnce--;
      this.#bytes -= bytes;
      this.#advance();
    };
    return { come, leave, end };
  }

  #advance(): void {
    for (const next of this.#waiting) {
      const fits = this.#bytes + next.bytes <= this.#maxBytes && this.#atOnce < this.#maxAtOnce;
      if (!fits && this.#atOnce > 0) return;
      this.#waiting.delete(next);
      this.#atOnce++;
      this.#bytes += next.bytes;
      next.begin();
    }
  }
}
