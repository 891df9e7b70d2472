// Where accepted sockets wait for an acceptor.
//
// Node has no public way to pause accepting, so what the kernel hands us beyond what acceptors can take is kept,
// unread, in a queue with a limit. A client that hangs up while it waits leaves the queue.

/** Something an acceptor can open. */
export interface Arrival {
  /** True: opened, or ended. False: not yet, and `done` is called once it is. */
  open(done: () => void): boolean;
  /** It will not be opened. */
  drop(): void;
}

/** Something that opens one arrival at a time. */
export interface Taker {
  /** True: done with it, and free. False: it calls `ready` once it is. */
  take(arrival: Arrival): boolean;
}

/** A bounded queue between sockets and acceptors. */
export class ArrivalQueue {
  readonly #limit: number;
  readonly #waiting: Set<Arrival> = new Set();
  readonly #idle: Taker[] = [];

  /** `limit`: how many may wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Hands over to an idle acceptor, or keeps. False: neither is possible. */
  offer(arrival: Arrival): boolean {
    const taker = this.#idle.pop();
    if (taker === undefined) {
      if (this.#waiting.size >= this.#limit) return false;
      this.#waiting.add(arrival);
      return true;
    }
    if (taker.take(arrival)) this.ready(taker);
    return true;
  }

  /** Removes a connection that has ended, if it waits. */
  forget(arrival: Arrival): void {
    this.#waiting.delete(arrival);
  }

  /** An acceptor is free: it gets what has waited longest, and again, until nothing waits or it is busy. */
  ready(taker: Taker): void {
    for (const arrival of this.#waiting) {
      this.#waiting.delete(arrival);
      if (!taker.take(arrival)) return;
    }
    this.#idle.push(taker);
  }

  /** An acceptor is gone. */
  leave(taker: Taker): void {
    const at = this.#idle.indexOf(taker);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Drops everything that waits. */
  clear(): void {
    for (const arrival of this.#waiting) {
      this.#waiting.delete(arrival);
      arrival.drop();
    }
  }
}
