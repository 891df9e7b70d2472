// Acceptors: each takes one socket at a time, has its connection initialise, and takes the next.
//
// The pool's size therefore bounds how many connections can be initialising at once, however long an `init` waits
// for a database. As long as `init` answers synchronously the first idle acceptor does everything on the spot and
// nothing waits. A connection that fails never ends an acceptor.

import {
  abnormalExit,
  type Child,
  type ChildSpecification,
  type ExitReason,
  killedExit,
  type Supervisor,
  shutdownExit,
  supervisor,
} from "../actor/index.ts";
import type { Arrival, ArrivalQueue, Taker } from "./arrivals.ts";

class Acceptor implements Child, Taker {
  readonly exited: Promise<ExitReason>;
  readonly #queue: ArrivalQueue;
  readonly #free: () => void;
  #alive = true;
  #tell!: (reason: ExitReason) => void;

  constructor(queue: ArrivalQueue) {
    this.#queue = queue;
    this.exited = new Promise((resolve) => {
      this.#tell = resolve;
    });
    this.#free = () => {
      if (this.#alive) this.#queue.ready(this);
    };
    queue.ready(this);
  }

  take(arrival: Arrival): boolean {
    try {
      return arrival.open(this.#free) && this.#alive;
    } catch (error) {
      arrival.drop();
      this.#exit(abnormalExit(error));
      return false;
    }
  }

  stop(): Promise<ExitReason> {
    this.#exit(shutdownExit);
    return this.exited;
  }

  kill(): void {
    this.#exit(killedExit);
  }

  #exit(reason: ExitReason): void {
    this.#alive = false;
    this.#queue.leave(this);
    this.#tell(reason);
  }
}

/** The pool: `size` acceptors over one queue, each restarted on its own. */
export function acceptors(queue: ArrivalQueue, size: number): ChildSpecification<Supervisor> {
  const children = Array.from({ length: size }, (_, index) => ({
    id: `acceptor-${index + 1}`,
    start: () => new Acceptor(queue),
  }));
  return {
    id: "acceptors",
    type: "supervisor",
    start: () => supervisor({ strategy: "one-for-one", children }),
  };
}
