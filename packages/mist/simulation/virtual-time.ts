// Virtual time: timers and turns of the event loop in one queue, run one at a time, each with all that follows from it.
//
// An event runs in a turn of the real event loop of its own, so that ticks and microtasks are done before the next; the
// real loop does no input or output.

interface Entry {
  at: number;
  order: number;
  run: (() => void) | undefined;
  /** Set by the code under test. */
  readonly isTheirs: boolean;
}

/** The real ones, whatever has been put in their place. */
const realTurn: typeof setImmediate = globalThis.setImmediate;

/** Not 0, which much code takes for "never"; a whole second, so that what looks at the time of day is even. */
const startsAt = 1_000_000;
/** More events at one instant than any scenario needs: something runs for ever. */
const mostAtOnce = 100_000;
/** How many turns of the real loop are asked for at once. */
const turnsAtOnce = 16;

/** A timer, as its owner holds it. */
export class VirtualTimer {
  readonly entry: Entry;

  constructor(entry: Entry) {
    this.entry = entry;
  }

  unref(): this {
    return this;
  }

  cancel(): void {
    this.entry.run = undefined;
  }
}

/** The clock of one run. */
export class VirtualTime {
  readonly #heap: Entry[] = [];
  #now: number = startsAt;
  #order = 0;
  #atOnce = 0;
  /** How many events there were. */
  events = 0;
  /** When a timer of the code under test was last due. */
  lastTheirs = 0;

  /** Milliseconds since the run began. */
  get elapsed(): number {
    return this.#now - startsAt;
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now;
  }

  setTimer(run: () => void, ms: number): VirtualTimer {
    return this.#add(Math.max(1, ms), run, true);
  }

  clearTimer(timer: unknown): void {
    if (timer instanceof VirtualTimer) timer.cancel();
  }

  nextTurn(run: () => void): void {
    this.#add(0, run, true);
  }

  /** Time goes on by itself here. */
  until<Value>(promise: Promise<Value>): Promise<Value> {
    return promise;
  }

  /** A timer of the simulation's own. */
  after(ms: number, run: () => void): VirtualTimer {
    return this.#add(Math.max(0, ms), run, false);
  }

  #add(ms: number, run: () => void, isTheirs: boolean): VirtualTimer {
    this.#order += 1;
    const entry: Entry = { at: this.#now + ms, order: this.#order, run, isTheirs };
    this.#push(entry);
    return new VirtualTimer(entry);
  }

  /** The instant of the next event, since the run began; undefined: nothing will happen any more. */
  get next(): number | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.run !== undefined) return first.at - startsAt;
      this.#pop();
    }
    return undefined;
  }

  /**
   * Runs events until nothing will happen any more, until `limitMs` of the run, or until `until` says so.
   *
   * @returns why it stopped; `busy`: too much happens at one instant.
   */
  run(limitMs: number, until: () => boolean = () => false): Promise<"done" | "limit" | "busy" | "until"> {
    return new Promise((resolve) => {
      let over = false;
      let waiting = 0;
      const end = (why: "done" | "limit" | "busy" | "until"): void => {
        over = true;
        resolve(why);
      };
      const turn = (): void => {
        waiting -= 1;
        if (over) return;
        const { next } = this;
        if (until()) end("until");
        else if (next === undefined) end("done");
        else if (next > limitMs) end("limit");
        else if (!this.#step()) end("busy");
        else if (waiting === 0) wait();
      };
      // Ticks and microtasks run between immediates, and a batch of them costs one turn of the real loop.
      const wait = (): void => {
        for (; waiting < turnsAtOnce; waiting++) realTurn(turn);
      };
      wait();
    });
  }

  #step(): boolean {
    const entry = this.#pop();
    const run = entry?.run;
    if (entry === undefined || run === undefined) return true;
    this.#atOnce = entry.at > this.#now ? 0 : this.#atOnce + 1;
    this.#now = Math.max(this.#now, entry.at);
    entry.run = undefined;
    this.events += 1;
    if (entry.isTheirs) this.lastTheirs = this.elapsed;
    run();
    return this.#atOnce < mostAtOnce;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(entry, heap[above] as Entry)) break;
      heap[at] = heap[above] as Entry;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below += 1;
      if (!isBefore(heap[below] as Entry, last)) break;
      heap[at] = heap[below] as Entry;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
