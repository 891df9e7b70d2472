// The order in which loops with messages run.
//
// Owns two rules. A send from inside a handler never runs another handler before the first has returned: the
// receiving loop is queued and runs as soon as the outermost handler is done. And no chain of messages, however
// long, starves the sockets: after a batch the rest waits for `setImmediate`.

import { clock, whenClockChanges } from "../clock.ts";
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
  /** Whether loops are queued. */
  waiting = false;
  #ready = new Queue<Runnable>();
  #flushing = false;
  #yielded = false;
  #completions = batchSize;
  #deferred: (() => void)[] = [];

  /** Queues a loop. It runs when the outermost handler returns, or in the next turn. */
  enqueue(runnable: Runnable): void {
    this.#ready.push(runnable);
    this.waiting = true;
    if (this.depth === 0 && !this.#flushing) this.#yieldTurn();
  }

  /** Runs code other than a handler that may send; its messages are handled once it returns. */
  hold(run: () => void): void {
    this.depth += 1;
    try {
      run();
    } finally {
      this.depth -= 1;
      if (this.waiting && this.depth === 0) this.flush();
    }
  }

  /** Runs the queued loops. Called when the outermost handler has returned. */
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
   * such completions in the next turn, since a chain of settled promises would starve the sockets as well.
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

  /** A turn under another clock is over: its completions count no more. */
  forget(): void {
    this.#completions = batchSize;
  }

  #yieldTurn(): void {
    if (this.#yielded) return;
    this.#yielded = true;
    clock.nextTurn(() => this.#nextTurn());
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

// The same scenario runs the same, whatever ran before it under another clock.
whenClockChanges(() => scheduler.forget());
