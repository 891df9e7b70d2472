// The listening sockets: opens them, hands out what they accept, and says whose failure an accept error is.
//
// This socket's: the peer gave up before we got to it, nothing happens. The machine's (no descriptors, no buffers):
// for a while every accepted socket is closed at once, so that what descriptors there are go to the connections
// being served. The listener's: it crashes, and its supervisor opens it again on the same port. Sockets that were given
// to this process cannot be opened again: they stay open and go from one listener to the next.

import type { Socket } from "node:net";
import { abnormalExit, type ExitReason } from "../actor/index.ts";
import { clock, type Timer } from "../clock.ts";
import { type SocketReason, toSocketReason } from "../errors.ts";
import type { Rejection } from "../events.ts";
import type { BoundAddress } from "../transport/address.ts";
import { type ConnectOptions, MemoryListener } from "../transport/memory.ts";
import type { MemorySocket } from "../transport/memory-socket.ts";
import { type ListenTarget, type OpenListener, openListener } from "../transport/transport.ts";
import { DescriptorReserve } from "./descriptor-reserve.ts";
import { Part } from "./part.ts";

const shortestBackoffMs = 100;
const longestBackoffMs = 1_000;

/** Whose failure an error of `accept` is. */
export type Fault = "socket" | "machine" | "listener";

const faults: Partial<Record<SocketReason, Fault>> = {
  // accept(2): errors already pending on the new socket are passed on by accept and mean only that socket.
  econnaborted: "socket",
  econnreset: "socket",
  econnrefused: "socket",
  etimedout: "socket",
  eproto: "socket",
  eperm: "socket",
  eintr: "socket",
  eagain: "socket",
  enetdown: "socket",
  enetunreach: "socket",
  ehostdown: "socket",
  ehostunreach: "socket",
  enoprotoopt: "socket",
  eopnotsupp: "socket",
  emfile: "machine",
  enfile: "machine",
  enobufs: "machine",
  enomem: "machine",
};

/** Whose failure an error of `accept` is; an unknown error is the listener's. */
export function faultOf(error: unknown): Fault {
  return faults[toSocketReason(error)] ?? "listener";
}

/** What the sockets are opened with. */
export interface SocketOptions {
  readonly backlog: number;
}

/** What a listener does with what it accepts. */
export interface ListenerOwner {
  accepted(socket: Socket): void;
  refused(socket: Socket, reason: Rejection): void;
}

/** What outlives the crash of a listener: sockets given to this process, and the listener that serves them. */
export class Inheritance {
  sockets: OpenListener | undefined = undefined;
  heir: Listener | undefined = undefined;

  /** Closes the sockets: no listener follows. */
  close(): void {
    this.sockets?.close();
    this.sockets = undefined;
  }
}

function isInherited(target: ListenTarget): boolean {
  return "fd" in target || "systemd" in target;
}

/** The listening sockets as a supervised child. */
export class Listener extends Part {
  readonly #owner: ListenerOwner;
  readonly #inheritance: Inheritance;
  /** Undefined: no descriptors are needed. */
  readonly #reserve: DescriptorReserve | undefined;
  #sockets: OpenListener | undefined = undefined;
  #memory: MemoryListener | undefined = undefined;
  #backoffMs = 0;
  #timer: Timer | undefined = undefined;

  private constructor(target: ListenTarget, owner: ListenerOwner, inheritance: Inheritance) {
    super();
    this.#reserve = "memory" in target ? undefined : new DescriptorReserve();
    this.#owner = owner;
    this.#inheritance = inheritance;
  }

  /**
   * Listens, and hands every accepted socket to its owner.
   *
   * @throws StartError when the system refuses, UsageError for an invalid target.
   */
  static async open(
    target: ListenTarget,
    options: SocketOptions,
    owner: ListenerOwner,
    inheritance: Inheritance,
  ): Promise<Listener> {
    const listener = new Listener(target, owner, inheritance);
    inheritance.heir = listener;
    try {
      listener.#sockets =
        inheritance.sockets ??
        (await openListener(target, {
          ...options,
          onConnection: (socket) => inheritance.heir!.#accepted(socket),
          onError: (error) => inheritance.heir!.failed(error),
        }));
    } catch (error) {
      listener.kill();
      throw error;
    }
    if (isInherited(target)) inheritance.sockets = listener.#sockets;
    listener.#memory = listener.#openMemory();
    return listener;
  }

  /** Every server can be connected to in memory: with its own listener if it has one already. */
  #openMemory(): MemoryListener {
    if (this.#sockets instanceof MemoryListener) return this.#sockets;
    const onConnection = (socket: Socket): void => this.#owner.accepted(socket);
    return new MemoryListener({ memory: true }, { onConnection }, this.address);
  }

  /** Connects in memory. */
  connect(options?: ConnectOptions): Promise<MemorySocket> {
    return this.#memory!.connect(options);
  }

  get address(): BoundAddress {
    return this.#sockets!.address;
  }

  get addresses(): readonly BoundAddress[] {
    return this.#sockets!.addresses;
  }

  #accepted(socket: Socket): void {
    if (!this.alive) {
      this.#owner.refused(socket, "stopping");
      return;
    }
    if (this.#backoffMs === 0 && this.#reserve?.accepted() === false) this.#backOff();
    if (this.#backoffMs === 0) this.#owner.accepted(socket);
    else this.#owner.refused(socket, "exhausted");
  }

  /** An error of `accept`, or of the listening socket itself. */
  failed(error: unknown): void {
    const fault = faultOf(error);
    if (fault === "listener") this.exit(abnormalExit(error));
    else if (fault === "machine") this.#backOff();
  }

  #backOff(): void {
    if (!this.alive || this.#timer !== undefined) return;
    // With the reserve let go the kernel's queue can be emptied, one socket after the other. Else the listening
    // socket would stay readable, and the process would do nothing but fail to accept.
    this.#reserve?.release();
    this.#backoffMs = Math.min(Math.max(shortestBackoffMs, this.#backoffMs * 2), longestBackoffMs);
    this.#timer = clock.setTimer(() => this.#recover(), this.#backoffMs);
    this.#timer.unref();
  }

  #recover(): void {
    this.#timer = undefined;
    if (this.#reserve?.restore() !== false) this.#backoffMs = 0;
    else this.#backOff();
  }

  /** Stops accepting at once, ahead of the supervisor's `stop`. */
  close(): void {
    this.#sockets?.close();
    this.#memory?.close();
  }

  protected release(reason: ExitReason): void {
    clock.clearTimer(this.#timer);
    this.#reserve?.release();
    this.#memory?.close();
    if (reason.type !== "abnormal" || this.#inheritance.sockets === undefined) this.close();
  }
}
