// The public interface of a running server: where it listens, its figures, how it is stopped.

import type { Child, ExitReason, Supervisor } from "../actor/index.ts";
import type { Connection } from "../connection/connection.ts";
import type { ConnectionState } from "../connection/live/phase.ts";
import type { HandlerError } from "../errors.ts";
import type { Rejection } from "../events.ts";
import type { BoundAddress, IpAddress } from "../transport/address.ts";
import type { ConnectOptions } from "../transport/memory.ts";
import type { MemorySocket } from "../transport/memory-socket.ts";
import type { ClientVerification, TlsOptions } from "../transport/tls.ts";

/** Called with a failure of user code on one connection. */
export type ErrorHandler = (error: HandlerError, connection: Connection<never>) => void;

/** How to stop. */
export interface StopOptions {
  /** How long connections may take to finish, in milliseconds. Default: the server's `withStopDeadline`. */
  readonly deadlineMs?: number | undefined;
  /**
   * How long the server goes on accepting and serving as before, with `stopping` already aborted, so that a load
   * balancer sees a failing health check before connections are refused. The deadline begins after it. In
   * milliseconds; default: 0.
   */
  readonly delayMs?: number | undefined;
}

/** How many connections ended by themselves, and how many were ended. */
export interface StopCount {
  /** Ended by themselves before the deadline. */
  readonly drained: number;
  /** Still there at the deadline, and destroyed. */
  readonly killed: number;
}

/** What `stop` did; at the same time an exit reason. */
export interface StopReport extends StopCount {
  readonly type: "shutdown";
  /** The same, by `Protocol.kind`. */
  readonly byKind: Readonly<Record<string, StopCount>>;
}

/** Where a server listens: on TCP, on a unix socket, or on nothing but memory. */
export type ServerPlace =
  | { readonly port: number; readonly ipAddress: IpAddress }
  | { readonly path: string }
  | { readonly memory: true };

/** Where a server listens, and its figures. */
export type ServerInfo = ServerCounters & ServerPlace;

/** Counters since the start, and the present connections. */
export interface ServerCounters {
  /** Open connections, in whatever state. */
  readonly connections: number;
  /** The same, by state. */
  readonly states: Readonly<Record<ConnectionState, number>>;
  /** Connections taken in so far. */
  readonly accepted: number;
  /** Sockets closed at once: too many connections, a full queue, no descriptors, or too late. */
  readonly rejected: number;
  /** The same, by reason. */
  readonly rejectedBy: Readonly<Record<Rejection, number>>;
  /** Bytes received by all connections so far; with TLS, those inside it. */
  readonly bytesRead: number;
  /** Bytes sent, likewise. */
  readonly bytesWritten: number;
}

/** TLS of a running server. */
export interface ServerTls {
  /**
   * Replaces certificates, keys, names and client authorities at once, for new connections; none is dropped.
   * Reads and checks everything first: if the promise rejects (CertificateError, UsageError) nothing has changed.
   * Without `verification` that of the server stays as it is, and so do `alpnProtocols`, `minVersion` and `ciphers`
   * that are not named.
   */
  update(options: TlsOptions, verification?: ClientVerification): Promise<void>;
}

/** A running server. It can be a child of a supervisor. */
export interface Server extends Child, AsyncDisposable {
  /** The TCP port. Throws a UsageError on a unix socket and on memory. */
  readonly port: number;
  /** Where it listens; the first address when there are several. */
  readonly address: BoundAddress;
  /** All addresses it listens on: with IPv6 there may be two, and systemd may pass any number. */
  readonly addresses: readonly BoundAddress[];
  /** Where it listens, connections by state, and counters. Looks at every connection: not for a hot path. */
  info(): ServerInfo;
  /**
   * Connects in memory, whatever the server listens on: neither network nor system is involved. The connection goes
   * through acceptors, limits, PROXY header, TLS and protocol like any other; its `transport` is `"memory"`. Resolves with
   * the client's end as soon as the connection is accepted.
   *
   * @throws TransportError (rejects, `econnrefused`) when the server no longer accepts connections; UsageError (rejects)
   *   for wrong options.
   *
   * @example
   * ```ts
   * const client = await server.connect();
   * client.write("hello");
   * ```
   */
  connect(options?: ConnectOptions): Promise<MemorySocket>;
  /**
   * Aborts `stopping`, and after `delayMs` stops accepting, tells every connection and waits for them. At the deadline
   * destroys those that are left. A number is a deadline in milliseconds. A second call can only make it end sooner.
   *
   * @throws UsageError for times that are not numbers of at least 0, and for unknown options.
   */
  stop(deadline?: number | StopOptions): Promise<StopReport>;
  /**
   * Aborted as soon as the server begins to stop, whatever the cause: `stop`, `kill`, its signal, or giving up. One
   * signal for the life of the server: remove listeners that are no longer needed.
   */
  readonly stopping: AbortSignal;
  /** Milliseconds until connections that are left are destroyed; undefined until the server stops accepting. */
  readonly stopLeftMs: number | undefined;
  /** Ends the server and all connections now. */
  kill(): void;
  /** Resolves when the server has ended: `shutdown`, `killed`, or `abnormal` when it gave up restarting a part. */
  readonly closed: Promise<ExitReason>;
  /** The same promise under the name a supervisor looks for. */
  readonly exited: Promise<ExitReason>;
  /** Throws a UsageError when the server was started without TLS. */
  readonly tls: ServerTls;
  /** The tree itself. */
  readonly supervisor: Supervisor;
}
