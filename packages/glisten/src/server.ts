/**
 * The server: its supervision tree, its counters, its stop.
 *
 *   server (rest-for-one)
 *   ├── connections   factory supervisor: one temporary connection per socket
 *   ├── listener      the listening sockets
 *   └── acceptors     one-for-one
 *
 * Started top to bottom and stopped bottom to top, so draining falls out of the order: acceptors stop taking, the
 * listening sockets close, connections finish or meet the deadline. A listener that crashes is opened again on its
 * port, with new acceptors; the connections above it do not notice.
 */

import type { Socket } from "node:net";
import { acceptors } from "./acceptor.ts";
import {
  type Child,
  type ChildSpecification,
  type ExitReason,
  type FactorySupervisor,
  factorySupervisor,
  type Supervisor,
  type SupervisorEvent,
  SupervisorStartError,
  supervisor,
} from "./actor/index.ts";
import { keepReadBuffers } from "./allocator.ts";
import { ArrivalQueue } from "./arrivals.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionHost, ConnectionSettings, ConnectionState } from "./connection-host.ts";
import { type HandlerError, StartError, UsageError } from "./errors.ts";
import { closeChannel, errorChannel, openChannel, type Rejection, rejectedChannel } from "./events.ts";
import { Listener, type ListenerOwner } from "./listener.ts";
import { LiveConnection } from "./live-connection.ts";
import type { ServerOptions } from "./options.ts";
import type { CloseReason } from "./protocol.ts";
import { TimerWheel } from "./timer-wheel.ts";
import type { BoundAddress, IpAddress } from "./transport/address.ts";
import type { ClientVerification, TlsContext, TlsOptions } from "./transport/tls.ts";
import type { ListenTarget } from "./transport/transport.ts";

/** Hears of a failure of user code on one connection. */
export type ErrorHandler = (error: HandlerError, connection: Connection<never>) => void;

/** How to stop. */
export interface StopOptions {
  /** How long connections may take, in milliseconds. */
  readonly deadlineMs?: number | undefined;
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

/** Where a server listens and how it fares. */
export type ServerInfo = ServerCounters &
  ({ readonly port: number; readonly ipAddress: IpAddress } | { readonly path: string });

/** Counters since the start, and connections as they stand. */
export interface ServerCounters {
  /** Connections there are now. */
  readonly connections: number;
  /** The same, by state. */
  readonly states: Readonly<Record<ConnectionState, number>>;
  /** Connections taken in so far. */
  readonly accepted: number;
  /** Sockets closed at once: too many connections, a full queue, no descriptors, or too late. */
  readonly rejected: number;
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
   * Without `verification` that of the server stays as it is.
   */
  update(options: TlsOptions, verification?: ClientVerification): Promise<void>;
}

/** A running server. It can be a child of a supervisor. */
export interface Server extends Child, AsyncDisposable {
  /** The TCP port. Throws a UsageError on a unix socket. */
  readonly port: number;
  /** Where it listens; the first address when there are several. */
  readonly address: BoundAddress;
  /** All addresses it listens on: with IPv6 there may be two, and systemd may pass any number. */
  readonly addresses: readonly BoundAddress[];
  /** Where it listens, connections by state, and counters. Looks at every connection: not for a hot path. */
  info(): ServerInfo;
  /**
   * Stops accepting, tells every connection, and waits for them; at the deadline (default: the server's
   * `withStopDeadline`) destroys those that are left. A second call can only bring the deadline nearer.
   */
  stop(deadline?: number | StopOptions): Promise<StopReport>;
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

// How long at most a stop goes on taking who has connected already; no more than a quarter of its deadline.
const LAST_ARRIVALS_MS = 500;

const STATES: readonly ConnectionState[] = ["waiting", "handshaking", "initialising", "open", "closing"];

/** The server behind the interface. */
export class RunningServer implements Server, ConnectionHost, ListenerOwner {
  readonly wheel: TimerWheel = new TimerWheel();
  readonly settings: ConnectionSettings;
  readonly closed: Promise<ExitReason>;
  supervisor!: Supervisor;
  private readonly options: ServerOptions;
  private readonly queue: ArrivalQueue;
  private readonly tlsContext: TlsContext | undefined;
  private connections!: FactorySupervisor<never>;
  private listener!: Listener;
  private target: ListenTarget;
  private count = 0;
  private accepts = 0;
  private rejections = 0;
  private bytesIn = 0;
  private bytesOut = 0;
  private stopAt: number | undefined = undefined;
  private readonly tally: Map<string, { drained: number; killed: number }> = new Map();
  private whenEmpty: (() => void) | undefined = undefined;
  private reported: Promise<StopReport> | undefined = undefined;
  private tellClosed!: (reason: ExitReason) => void;

  constructor(
    options: ServerOptions,
    settings: ConnectionSettings,
    target: ListenTarget,
    tls: TlsContext | undefined,
  ) {
    this.options = options;
    this.settings = settings;
    this.tlsContext = tls;
    this.target = target;
    this.queue = new ArrivalQueue(options.maxQueue);
    this.closed = new Promise((resolve) => {
      this.tellClosed = resolve;
    });
  }

  // ---- the tree ---------------------------------------------------------------------------------------------

  async start(signal: AbortSignal | undefined): Promise<this> {
    keepReadBuffers();
    try {
      this.supervisor = await supervisor({
        strategy: "rest-for-one",
        intensity: this.options.intensity,
        children: [
          this.connectionsChild(),
          this.listenerChild(),
          acceptors(this.queue, this.options.poolSize),
        ],
        onEvent: (event) => this.happened(event),
        signal: anyOf(signal, this.options.signal),
      });
    } catch (error) {
      throw startError(error);
    }
    void this.supervisor.exited.then((reason) => this.ended(reason));
    const abort = this.options.signal;
    if (abort !== undefined) {
      const onAbort = (): void => void this.stop();
      abort.addEventListener("abort", onAbort, { once: true });
      void this.closed.then(() => abort.removeEventListener("abort", onAbort));
      if (abort.aborted) onAbort();
    }
    return this;
  }

  private connectionsChild(): ChildSpecification {
    const server = this;
    return {
      id: "connections",
      type: "supervisor",
      // Asked for when the time has come: the deadline is the one `stop` was given.
      get shutdownMs() {
        return server.stopping ?? server.options.stopDeadlineMs;
      },
      start: () => {
        this.connections = factorySupervisor<never>({ shutdownMs: "infinity" });
        return this.connections;
      },
    };
  }

  private listenerChild(): ChildSpecification {
    return {
      id: "listener",
      start: async () => {
        const { backlog } = this.options;
        this.listener = await Listener.open(this.target, { backlog }, this);
        const { address } = this.listener;
        // A port the system chose is kept for the next time.
        if ("port" in this.target && address.type === "tcp")
          this.target = { ...this.target, port: address.port };
        return this.listener;
      },
    };
  }

  private happened(event: SupervisorEvent): void {
    if (event.type === "gave-up") this.stopBy(this.options.stopDeadlineMs);
    else if (event.type === "child-stopped" && event.id === "listener") this.queue.clear();
  }

  private async ended(reason: ExitReason): Promise<void> {
    // Destroyed sockets still have their "close" to tell; nothing can keep them from it.
    if (this.count > 0) {
      await new Promise<void>((resolve) => {
        this.whenEmpty = resolve;
      });
    }
    this.wheel.stop();
    this.tellClosed(reason);
  }

  // ---- sockets in, connections out --------------------------------------------------------------------------

  accepted(socket: Socket): void {
    if (this.count >= this.options.maxConnections) {
      this.refused(socket, "max-connections");
      return;
    }
    const connection = new LiveConnection(this, this.accepts + 1, socket);
    if (!this.connections.adopt(connection)) {
      this.refused(socket, "stopping");
      return;
    }
    this.accepts += 1;
    this.count += 1;
    connection.prepare();
  }

  ready(connection: LiveConnection): void {
    if (this.queue.offer(connection)) return;
    this.rejections += 1;
    if (rejectedChannel.hasSubscribers) rejectedChannel.publish({ reason: "queue-full" });
    connection.drop();
  }

  refused(socket: Socket, reason: Rejection): void {
    this.rejections += 1;
    socket.on("error", ignore);
    socket.destroy();
    if (rejectedChannel.hasSubscribers) rejectedChannel.publish({ reason });
  }

  opened(connection: LiveConnection): void {
    if (openChannel.hasSubscribers) openChannel.publish({ connection });
  }

  gone(connection: LiveConnection, reason: CloseReason): void {
    this.count -= 1;
    this.bytesIn += connection.bytesRead;
    this.bytesOut += connection.bytesWritten;
    this.queue.forget(connection);
    this.connections.childExited(connection);
    if (this.stopAt !== undefined) this.tallyUp(connection.kind, reason);
    if (closeChannel.hasSubscribers) closeChannel.publish({ connection, reason });
    if (this.count === 0) this.whenEmpty?.();
  }

  private tallyUp(kind: string, reason: CloseReason): void {
    let counts = this.tally.get(kind);
    if (counts === undefined) {
      counts = { drained: 0, killed: 0 };
      this.tally.set(kind, counts);
    }
    if (reason.type === "killed") counts.killed += 1;
    else counts.drained += 1;
  }

  report(error: HandlerError, connection: LiveConnection): void {
    if (errorChannel.hasSubscribers) errorChannel.publish({ connection, error });
    const { onError = printError } = this.options;
    try {
      onError(error, connection);
    } catch (second) {
      console.error(second);
    }
  }

  // ---- stopping ---------------------------------------------------------------------------------------------

  get stopping(): number | undefined {
    return this.stopAt === undefined ? undefined : Math.max(0, this.stopAt - performance.now());
  }

  private stopBy(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (this.stopAt === undefined || at < this.stopAt) this.stopAt = at;
  }

  stop(deadline?: number | StopOptions): Promise<StopReport> {
    const given = typeof deadline === "object" ? deadline.deadlineMs : deadline;
    const deadlineMs = given ?? this.options.stopDeadlineMs;
    if (!(deadlineMs >= 0)) throw new UsageError(`deadlineMs must be 0 or more, not ${String(deadlineMs)}`);
    this.stopBy(deadlineMs);
    void this.stopTree(deadlineMs);
    this.reported ??= this.closed.then(() => this.stopReport());
    return this.reported;
  }

  private async stopTree(deadlineMs: number): Promise<void> {
    for (const connection of this.connections.adopted()) {
      if ((connection as LiveConnection).state === "open") connection.shutdown(deadlineMs);
    }
    if (deadlineMs > 0) await this.takeWhoHasConnected(Math.min(LAST_ARRIVALS_MS, deadlineMs / 4));
    await this.supervisor.stop(this.stopping ?? deadlineMs);
  }

  /**
   * Who has connected waits in the kernel, which resets all of them when the listening socket closes; and Node takes
   * one in a turn of the event loop. So the turns go on until one brings nobody, or the time is up.
   */
  private async takeWhoHasConnected(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    let arrived = -1;
    while (arrived !== this.accepts + this.rejections && performance.now() < until) {
      arrived = this.accepts + this.rejections;
      // The first turn may have been under way already.
      await nextTurn();
      await nextTurn();
    }
    this.listener.close(); // now, while nobody waits
  }

  private stopReport(): StopReport {
    let drained = 0;
    let killed = 0;
    for (const counts of this.tally.values()) {
      drained += counts.drained;
      killed += counts.killed;
    }
    return { type: "shutdown", drained, killed, byKind: Object.fromEntries(this.tally) };
  }

  kill(): void {
    this.stopBy(0);
    this.supervisor.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  // ---- what it says of itself -------------------------------------------------------------------------------

  get exited(): Promise<ExitReason> {
    return this.closed;
  }

  get tls(): ServerTls {
    const context = this.tlsContext;
    if (context === undefined) throw new UsageError("this server was started without TLS");
    return {
      update: (options, verification = this.options.clientVerification) =>
        context.update(options, verification),
    };
  }

  get address(): BoundAddress {
    return this.listener.address;
  }

  get addresses(): readonly BoundAddress[] {
    return this.listener.addresses;
  }

  get port(): number {
    const { address } = this;
    if (address.type === "tcp") return address.port;
    throw new UsageError(`a server on the unix socket ${address.path} has no port`);
  }

  info(): ServerInfo {
    const states = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<ConnectionState, number>;
    let bytesRead = this.bytesIn;
    let bytesWritten = this.bytesOut;
    for (const child of this.connections.adopted()) {
      const connection = child as LiveConnection;
      states[connection.state] += 1;
      bytesRead += connection.bytesRead;
      bytesWritten += connection.bytesWritten;
    }
    const { address } = this;
    const where =
      address.type === "tcp" ? { port: address.port, ipAddress: address.ipAddress } : { path: address.path };
    const { accepts: accepted, rejections: rejected, count: connections } = this;
    return { ...where, connections, states, accepted, rejected, bytesRead, bytesWritten };
  }
}

function anyOf(one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  return one !== undefined && other !== undefined ? AbortSignal.any([one, other]) : (one ?? other);
}

function ignore(): void {}

function printError(error: HandlerError): void {
  console.error(error);
}

/** What the tree's failure to start means to whoever called `start`. */
function startError(error: unknown): unknown {
  if (!(error instanceof SupervisorStartError)) return error;
  if (error.reason === "aborted") return new StartError("listener-closed", { cause: error });
  if (error.childId === "acceptors") return new StartError("acceptor-failed", { cause: error.cause });
  return error.cause;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
