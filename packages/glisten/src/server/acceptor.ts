// Acceptors: each takes one socket at a time, has its connection initialise, and takes the next.
//
// The pool's size therefore bounds how many connections can be initialising at once, however long an `init` waits
// for a database. As long as `init` answers synchronously the first idle acceptor does everything on the spot and
// nothing waits. A connection that fails never ends an acceptor.

import { abnormalExit, type ChildSpecification, type Supervisor, supervisor } from "../actor/index.ts";
import type { Arrival, ArrivalQueue, Taker } from "./arrivals.ts";
import { Part } from "./part.ts";

class Acceptor extends Part implements Taker {
  readonly #queue: ArrivalQueue;
  readonly #free: () => void;

  constructor(queue: ArrivalQueue) {
    super();
    this.#queue = queue;
    this.#free = () => {
      if (this.alive) this.#queue.ready(this);
    };
    queue.ready(this);
  }

  take(arrival: Arrival): boolean {
    try {
      return arrival.open(this.#free) && this.alive;
    } catch (error) {
      arrival.drop();
      this.exit(abnormalExit(error));
      return false;
    }
  }

  protected release(): void {
    this.#queue.leave(this);
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
