/**
 * The steps a machine can take: what is not in its table cannot happen. States and steps are small numbers, so that a
 * step is one load from a flat table.
 */

/** Room for one row: no machine has more steps. */
const WIDTH = 8;

export class StateTable {
  readonly #machine: string;
  readonly #table: (number | undefined)[] = [];

  /** @param rows every step that can be taken: from which state, which step, to which state. */
  constructor(machine: string, rows: readonly (readonly [from: number, step: number, to: number])[]) {
    this.#machine = machine;
    for (const [from, step, to] of rows) {
      while (this.#table.length < (from + 1) * WIDTH) this.#table.push(undefined);
      this.#table[from * WIDTH + step] = to;
    }
  }

  /** The next state. Throws when the step cannot be taken in this one: that is a bug here. */
  after(state: number, step: number): number {
    return this.#table[state * WIDTH + step] ?? this.#impossible(state, step);
  }

  #impossible(state: number, step: number): never {
    throw new Error(`the ${this.#machine} cannot take step ${step} in state ${state}`);
  }
}
