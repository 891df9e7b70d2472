// The steps a machine can take: what is not in its table cannot happen. States and steps are small numbers, so that a
// step is one load from a flat table; brands keep the machines apart.

declare const machine: unique symbol;
declare const alphabet: unique symbol;

export type State<Machine extends string> = number & { readonly [machine]: Machine };
/** Something that happens. Machines that move together share an alphabet. */
export type Step<Alphabet extends string> = number & { readonly [alphabet]: Alphabet };

/** Every step that concerns a machine, with its moves; the machine stays where it is for every other. */
type Rows<S, T> = readonly (readonly [step: T, ...moves: (readonly [from: S, to: S])[]])[];

/** What {@link StateTable.next} gives for a step that cannot be taken; no state is as large. */
export const IMPOSSIBLE = 255;

export class StateTable<S extends number, T extends number> {
  readonly #steps: number;
  readonly #next: Uint8Array;

  /** @param steps how many there are in the alphabet. */
  constructor(states: number, steps: number, rows: Rows<S, T>) {
    this.#steps = steps;
    this.#next = Uint8Array.from({ length: states * steps }, (_, at) => Math.floor(at / steps));
    for (const [step, ...moves] of rows) {
      for (let from = 0; from < states; from++) this.#next[from * steps + step] = IMPOSSIBLE;
      for (const [from, to] of moves) this.#next[from * steps + step] = to;
    }
  }

  /** The next state, or {@link IMPOSSIBLE}. */
  next(state: S, step: T): number {
    return this.#next[state * this.#steps + step] as number;
  }

  /** The next state. Throws when the step cannot be taken in this one: that is a bug here. */
  after(state: S, step: T): S {
    const next = this.next(state, step);
    if (next === IMPOSSIBLE) throw new Error(`step ${step} cannot be taken in state ${state}`);
    return next as S;
  }
}
