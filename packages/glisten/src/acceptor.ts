// Acceptors: each takes one socket at a time from the queue, has its connection initialise, and takes the next.
//
// The pool's size therefore bounds how many connections can be initialising at once. As long as `init` answers
// synchronously the first idle acceptor does everything on the spot and nothing waits.
import type { Arrival, ArrivalQueue } from "./listener.ts";

export class Acceptor {
  private readonly queue: ArrivalQueue;
  private stopped = false;
  private readonly free: () => void;

  constructor(queue: ArrivalQueue) {
    this.queue = queue;
    this.free = () => {
      if (!this.stopped) this.queue.ready(this);
    };
  }

  /** Begins to take sockets. */
  start(): void {
    this.queue.ready(this);
  }

  /** True: done with it, ready for the next. Else the acceptor reports back to the queue when it is. */
  take(arrival: Arrival): boolean {
    return arrival.open(this.free);
  }

  stop(): void {
    this.stopped = true;
    this.queue.leave(this);
  }
}
