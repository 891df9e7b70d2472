// The listening sockets, and the bounded queue of what they accepted.
//
// Node has no public way to pause accepting, so whatever the kernel hands us beyond what acceptors can take is
// kept paused in a queue with a limit; one too many is closed at once and counted.
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Acceptor } from "./acceptor.ts";

/** Something an acceptor can open: true when that is done, else `done` is called when it is. */
export interface Arrival {
  open(done: () => void): boolean;
  /** The server is stopping; this was never opened. */
  drop(): void;
}

export class ArrivalQueue {
  private readonly limit: number;
  private readonly waiting: Set<Arrival> = new Set();
  private readonly idle: Acceptor[] = [];

  constructor(limit: number) {
    this.limit = limit;
  }

  get length(): number {
    return this.waiting.size;
  }

  /** False: no acceptor is free and the queue is full. */
  offer(arrival: Arrival): boolean {
    const acceptor = this.idle.pop();
    if (acceptor !== undefined) {
      if (acceptor.take(arrival)) this.idle.push(acceptor);
      return true;
    }
    if (this.waiting.size >= this.limit) return false;
    this.waiting.add(arrival);
    return true;
  }

  /** The peer hung up while it waited. */
  forget(arrival: Arrival): void {
    this.waiting.delete(arrival);
  }

  /** An acceptor is free. */
  ready(acceptor: Acceptor): void {
    for (const arrival of this.waiting) {
      this.waiting.delete(arrival);
      if (!acceptor.take(arrival)) return;
    }
    this.idle.push(acceptor);
  }

  leave(acceptor: Acceptor): void {
    const at = this.idle.indexOf(acceptor);
    if (at >= 0) this.idle.splice(at, 1);
  }

  /** Drops everything that waits. */
  clear(): number {
    const dropped = this.waiting.size;
    for (const arrival of this.waiting) {
      this.waiting.delete(arrival);
      arrival.drop();
    }
    return dropped;
  }
}

/** What a listener is opened with. */
export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly ipv6Only: boolean;
  readonly backlog: number;
  readonly highWaterMark: number;
  /** Takes each accepted socket, paused. */
  readonly accepted: (socket: Socket) => void;
}

/** Opens one listening socket. Rejects with Node's own error. */
export function listen(options: ListenerOptions): Promise<NetServer> {
  const { highWaterMark, accepted, host, port, ipv6Only, backlog } = options;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, highWaterMark });
  server.on("connection", accepted);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only, backlog }, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}
