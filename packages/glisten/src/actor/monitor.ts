// Watching a process end: the message, a source of it for selectors, and the list of watchers.

import type { ExitReason } from "./exit.ts";
import type { Receiver, Source, Unsubscribe } from "./selector.ts";
import { callUser } from "./user-code.ts";

/** A process has ended. */
export interface ProcessDown {
  readonly type: "process-down";
  /** Why. */
  readonly reason: ExitReason;
  /** Which: the value that was monitored. */
  readonly process: unknown;
}

/** Something whose end can be watched: an ActorRef, a Supervisor, or anything with an `exited` promise. */
export interface Monitored {
  /** Resolves with how it ended. */
  readonly exited: Promise<ExitReason>;
  /** Watches without a promise, where the process knows how. */
  monitor?(receiver: Receiver<ProcessDown>): Unsubscribe;
}

/**
 * The end of a process as a source for a selector. Every subscriber gets it once; a subscriber to a
 * process that has already ended gets it at once.
 *
 * ```ts
 * selector<Change>().selectMap(monitor(worker), (down) => ({ type: "worker-down", reason: down.reason }))
 * ```
 */
export function monitor(process: Monitored): Source<ProcessDown> {
  return {
    subscribe(receiver) {
      if (process.monitor !== undefined) return process.monitor(receiver);
      let listening = true;
      void process.exited.then((reason) => {
        if (listening) tell(receiver, { type: "process-down", reason, process });
      });
      return () => {
        listening = false;
      };
    },
  };
}

/** The watchers of one process. Allocates nothing until there is one. */
export class Monitors {
  #receivers: Set<{ receiver: Receiver<ProcessDown> }> | undefined;
  #down: ProcessDown | undefined;

  /** Whether there are watchers. */
  get watched(): boolean {
    return this.#receivers !== undefined && this.#receivers.size > 0;
  }

  /** Adds a watcher; calls it at once when the process has already ended. */
  add(receiver: Receiver<ProcessDown>): Unsubscribe {
    if (this.#down !== undefined) {
      tell(receiver, this.#down);
      return () => {};
    }
    const entry = { receiver };
    this.#receivers ??= new Set();
    this.#receivers.add(entry);
    return () => {
      this.#receivers?.delete(entry);
    };
  }

  /** Calls all watchers, once. */
  down(reason: ExitReason, process: unknown): void {
    if (this.#down !== undefined) return;
    this.#down = { type: "process-down", reason, process };
    const receivers = this.#receivers;
    this.#receivers = undefined;
    if (receivers === undefined) return;
    for (const { receiver } of receivers) tell(receiver, this.#down);
  }
}

function tell(receiver: Receiver<ProcessDown>, down: ProcessDown): void {
  void callUser(receiver, down);
}
