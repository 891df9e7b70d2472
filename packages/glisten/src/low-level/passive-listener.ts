// A listening socket that gives connections when asked.
//
// Owns the accepted connections that wait for `accept`, at most `backlog`, and the calls that wait for a connection.
// Never reads from them. One connection too many is closed at once and counted.

import type { Socket } from "node:net";
import { clock } from "../clock.ts";
import { ignore, TransportError, UsageError } from "../errors.ts";
import type { BoundAddress } from "../transport/address.ts";
import { defaultBacklog, interfaceOf, type TcpOptions, unixPathOf } from "../transport/socket-options.ts";
import { type ListenTarget, type OpenListener, openListener } from "../transport/transport.ts";
import { type Waiter, type WaitOptions, wait } from "./wait.ts";

/** What a listener is made of. */
export interface ListenerParts<S> {
  readonly open: OpenListener;
  readonly arrivals: Arrivals;
  readonly wrap: (raw: Socket, address: BoundAddress) => S;
}

/** Listening; `accept` gives one connection at a time. */
export class PassiveListener<S> {
  readonly #open: OpenListener;
  readonly #arrivals: Arrivals;
  readonly #wrap: ListenerParts<S>["wrap"];

  /** @internal Use `listen`. */
  constructor({ open, arrivals, wrap }: ListenerParts<S>) {
    this.#open = open;
    this.#arrivals = arrivals;
    this.#wrap = wrap;
  }

  /** The TCP port; undefined for a unix socket. */
  get port(): number | undefined {
    return this.#open.port;
  }

  /** Connections closed because more than `backlog` waited for `accept`. */
  get dropped(): number {
    return this.#arrivals.dropped;
  }

  /** Where it listens. */
  sockname(): BoundAddress {
    return this.#open.address;
  }

  /**
   * Waits for a connection. Calls are served in order; one that gave up takes no connection with it.
   *
   * @throws TransportError (rejects): `"closed"` once the listener is closed, or why accepting failed
   *   (`"emfile"`: try again later). DeadlineError after `timeout`; the signal's reason when it aborts.
   */
  async accept(options: WaitOptions = {}): Promise<S> {
    return this.#wrap(await this.#arrivals.next(options), this.#open.address);
  }

  /** Stops listening. Pending `accept` calls reject with `"closed"`; accepted sockets stay open. */
  close(): Promise<void> {
    this.#open.close();
    this.#arrivals.close();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.close());
  }
}

/** Connections between the kernel and `accept`. */
export class Arrivals {
  /** How many were closed because the queue was full. */
  dropped = 0;
  readonly #limit: number;
  #sockets: Socket[] = [];
  #waiters: Waiter<Socket>[] = [];
  #closed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  offer(socket: Socket): void {
    // A reset while it waits would otherwise be an uncaught "error".
    socket.on("error", ignore);
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter.resolve(socket);
    else if (this.#sockets.length < this.#limit) this.#sockets.push(socket);
    else this.#drop(socket);
  }

  #drop(socket: Socket): void {
    this.dropped += 1;
    socket.destroy();
  }

  /** Accepting failed: rejects the call that has waited longest. */
  fail(error: unknown): void {
    this.#waiters.shift()?.reject(TransportError.from(error));
  }

  next(options: WaitOptions): Promise<Socket> {
    return wait("accept", options, (waiter) => {
      const socket = this.#takeLiving();
      if (socket !== undefined) waiter.resolve(socket);
      else if (this.#closed) waiter.reject(new TransportError("closed"));
      else this.#waiters.push(waiter);
      return () => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
      };
    });
  }

  #takeLiving(): Socket | undefined {
    for (;;) {
      const socket = this.#sockets.shift();
      if (socket === undefined || !socket.destroyed) return socket;
    }
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.splice(0)) socket.destroy();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new TransportError("closed"));
  }
}

/** Listens with the given options; connections are given through `wrap`. */
export async function listenPassively<S>(
  port: number,
  options: TcpOptions,
  wrap: ListenerParts<S>["wrap"],
): Promise<ListenerParts<S>> {
  const backlog = options.backlog ?? defaultBacklog;
  const arrivals = new Arrivals(backlog);
  const open = await openListener(targetOf(port, options), {
    backlog,
    ...(options.buffer !== undefined && { highWaterMark: options.buffer }),
    onConnection: (socket) => arrivals.offer(socket),
    onError: (error) => arrivals.fail(error),
  });
  return { open, arrivals, wrap };
}

function targetOf(port: number, options: TcpOptions): ListenTarget {
  const path = unixPathOf(options);
  if (path !== undefined && port !== 0)
    throw new UsageError(`a unix socket has no port: port must be 0, got ${port}`);
  if (path !== undefined) return { path };
  return { port, interface: interfaceOf(options), ipv6: options.ipv6 ?? false };
}
