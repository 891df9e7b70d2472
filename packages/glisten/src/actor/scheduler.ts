// Turns: who handles a message when several loops have something to do.
//
// Owns two rules. A send from inside a handler never runs another handler before the first has returned: the
// receiving loop waits in line and runs as soon as the outermost handler is done. And no chain of messages,
// however long, keeps the process from its sockets: after a batch the rest waits for `setImmediate`.

import { Queue } from "./queue.ts";

/** Something with one step to do. A step handles at most one message. */
export interface Runnable {
  step(): void;
}

/** Messages handled before the process looks at its sockets again. */
const batchSize = 128;

class Scheduler {
  /** How many handlers are on the stack. */
  depth = 0;
  /** Whether loops wait in line. */
  waiting = false;
  #ready = new Queue<Runnable>();
  #flushing = false;
  #yielded = false;
  #completions = batchSize;
  #deferred: (() => void)[] = [];

  /** Puts a loop in line. It runs when the outermost handler returns, or in the next turn. */
  enqueue(runnable: Runnable): void {
    this.#ready.push(runnable);
    this.waiting = true;
    if (this.depth === 0 && !this.#flushing) this.#yieldTurn();
  }

  /** Runs something that is no handler but may send: what it sends is handled when it has returned. */
  hold(run: () => void): void {
    this.depth += 1;
    try {
      run();
    } finally {
      this.depth -= 1;
      if (this.waiting && this.depth === 0) this.flush();
    }
  }

  /** Lets the loops in line run. For the outermost handler, after it returned. */
  flush(): void {
    if (this.#flushing || this.#yielded) return;
    this.#flushing = true;
    try {
      for (let budget = batchSize; budget > 0 && this.#ready.length > 0; budget -= 1) {
        this.#ready.shift().step();
      }
    } finally {
      this.#flushing = false;
      this.waiting = this.#ready.length > 0;
      if (this.waiting) this.#yieldTurn();
    }
  }

  /**
   * Runs `complete`, which goes on after a handler's promise has settled: at once, or after a full batch of
   * such completions in the next turn, since a chain of settled promises would keep the process from its
   * sockets just as well as a loop.
   */
  afterPromise(complete: () => void): void {
    if (this.#completions > 0) {
      this.#completions -= 1;
      complete();
      return;
    }
    this.#deferred.push(complete);
    this.#yieldTurn();
  }

  #yieldTurn(): void {
    if (this.#yielded) return;
    this.#yielded = true;
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#completions = batchSize;
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const complete of deferred) complete();
    this.#yielded = false;
    this.flush();
  }
}

/** The one scheduler of this thread. */
export const scheduler: Scheduler = new Scheduler();
