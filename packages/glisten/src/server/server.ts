// The server: its supervision tree, its counters, its stop.
//
//   server (rest-for-one)
//   ├── connections   factory supervisor: one temporary connection per socket
//   ├── listener      the listening sockets
//   └── acceptors     one-for-one
//
// Started top to bottom and stopped bottom to top, so draining falls out of the order: acceptors stop taking, the
// listening sockets close, connections finish or meet the deadline. A listener that crashes is opened again on its
// port, with new acceptors; the connections above it do not notice.

import type { Socket } from "node:net";
import {
  type ChildSpecification,
  type ExitReason,
  type FactorySupervisor,
  factorySupervisor,
  type Supervisor,
  type SupervisorEvent,
  SupervisorStartError,
  supervisor,
} from "../actor/index.ts";
import { callUser } from "../actor/user-code.ts";
import { clock } from "../clock.ts";
import type { ConnectionHost, ConnectionSettings, HostedConnection } from "../connection/connection-host.ts";
import { LiveConnection } from "../connection/live/live-connection.ts";
import { countByState } from "../connection/live/phase.ts";
import type { CloseReason } from "../connection/protocol.ts";
import { type HandlerError, StartError, UsageError } from "../errors.ts";
import { closeChannel, errorChannel, openChannel, type Rejection, rejectedChannel } from "../events.ts";
import type { ServerOptions } from "../options.ts";
import { keepReadBuffers } from "../performance/read-buffers.ts";
import type { BoundAddress } from "../transport/address.ts";
import type { ConnectOptions } from "../transport/memory.ts";
import type { MemorySocket } from "../transport/memory-socket.ts";
import type { TlsContext } from "../transport/tls.ts";
import type { ListenTarget } from "../transport/transport.ts";
import { acceptors } from "./acceptor.ts";
import { ArrivalQueue } from "./arrivals.ts";
import { type Arriving, Drain, stopTimes } from "./drain.ts";
import { Inheritance, Listener, type ListenerOwner } from "./listener.ts";
import { Refusals } from "./refusals.ts";
import type {
  Server,
  ServerInfo,
  ServerPlace,
  ServerTls,
  StopOptions,
  StopReport,
} from "./server-interface.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** The server behind the interface. */
export class RunningServer implements Server, ConnectionHost, ListenerOwner, Arriving {
  readonly wheel: TimerWheel = new TimerWheel();
  readonly settings: ConnectionSettings;
  readonly closed: Promise<ExitReason>;
  supervisor!: Supervisor;
  readonly #options: ServerOptions;
  readonly #queue: ArrivalQueue;
  readonly #tlsContext: TlsContext | undefined;
  #connections!: FactorySupervisor<never>;
  #listener!: Listener;
  readonly #inheritance: Inheritance = new Inheritance();
  #target: ListenTarget;
  #count = 0;
  #accepts = 0;
  readonly #rejections: Record<Rejection, number> = {
    "max-connections": 0,
    "queue-full": 0,
    exhausted: 0,
    stopping: 0,
  };
  readonly #refusals: Refusals;
  #bytesIn = 0;
  #bytesOut = 0;
  readonly #drain: Drain = new Drain();
  #treeStops = false;
  #whenEmpty: (() => void) | undefined = undefined;
  #reported: Promise<StopReport> | undefined = undefined;
  #tellClosed!: (reason: ExitReason) => void;

  constructor(
    options: ServerOptions,
    settings: ConnectionSettings,
    target: ListenTarget,
    tls: TlsContext | undefined,
  ) {
    this.#options = options;
    this.settings = settings;
    this.#tlsContext = tls;
    this.#target = target;
    this.#queue = new ArrivalQueue(options.maxQueue);
    // No bytes can be sent before a TLS handshake.
    this.#refusals = new Refusals(tls === undefined ? options.refusal : undefined, options.lingerMs);
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
  }

  // ---- the tree ---------------------------------------------------------------------------------------------

  async start(signal: AbortSignal | undefined): Promise<this> {
    keepReadBuffers();
    // These signals abort the start only; a running server ends in order, by `stop`.
    const giveUp = new AbortController();
    const detach = whenAborted([signal, this.#options.signal], (reason) => giveUp.abort(reason));
    try {
      this.supervisor = await supervisor({
        strategy: "rest-for-one",
        intensity: this.#options.intensity,
        children: [
          this.#connectionsChild(),
          this.#listenerChild(),
          acceptors(this.#queue, this.#options.poolSize),
        ],
        onEvent: (event) => this.#happened(event),
        signal: giveUp.signal,
      });
    } catch (error) {
      throw startError(error, giveUp.signal);
    } finally {
      detach();
    }
    void this.supervisor.exited.then((reason) => this.#ended(reason));
    const leave = whenAborted([this.#options.signal], () => void this.stop());
    void this.closed.then(leave);
    return this;
  }

  #connectionsChild(): ChildSpecification {
    const server = this;
    return {
      id: "connections",
      type: "supervisor",
      // A getter, since the deadline is the one that `stop` is given.
      get shutdownMs() {
        return server.stopLeftMs ?? server.#options.stopDeadlineMs;
      },
      start: () => {
        this.#connections = factorySupervisor<never>({ shutdownMs: "infinity" });
        return this.#connections;
      },
    };
  }

  #listenerChild(): ChildSpecification {
    return {
      id: "listener",
      start: async () => {
        const { backlog } = this.#options;
        this.#listener = await Listener.open(this.#target, { backlog }, this, this.#inheritance);
        const { address } = this.#listener;
        // A restart keeps the port that the system chose.
        if ("port" in this.#target && address.type === "tcp")
          this.#target = { ...this.#target, port: address.port };
        return this.#listener;
      },
    };
  }

  #happened(event: SupervisorEvent): void {
    if (event.type === "gave-up") {
      this.#treeStops = true;
      this.#drain.plan(0, this.#options.stopDeadlineMs);
    } else if (event.type === "child-stopped" && event.id === "listener") this.#queue.clear();
  }

  async #ended(reason: ExitReason): Promise<void> {
    this.#inheritance.close();
    this.#refusals.close();
    // Destroyed sockets have yet to emit "close".
    if (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
      });
    }
    this.wheel.stop();
    this.#tellClosed(reason);
  }

  connect(options?: ConnectOptions): Promise<MemorySocket> {
    return this.#listener.connect(options);
  }

  // ---- sockets in, connections out --------------------------------------------------------------------------

  accepted(socket: Socket): void {
    if (this.#count >= this.#options.maxConnections) {
      this.refused(socket, "max-connections");
      return;
    }
    const connection = new LiveConnection(this, this.#accepts + 1, socket);
    if (!this.#connections.adopt(connection)) {
      this.refused(socket, "stopping");
      return;
    }
    this.#accepts += 1;
    this.#count += 1;
    connection.prepare();
  }

  ready(connection: HostedConnection): void {
    if (this.#queue.offer(connection)) return;
    this.#rejected("queue-full");
    const { refusal } = this.#options;
    if (refusal === undefined) connection.drop();
    else {
      connection.write(refusal);
      connection.close();
    }
  }

  refused(socket: Socket, reason: Rejection): void {
    this.#rejected(reason);
    this.#refusals.refuse(socket, reason === "max-connections");
  }

  #rejected(reason: Rejection): void {
    this.#rejections[reason] += 1;
    if (rejectedChannel.hasSubscribers) rejectedChannel.publish({ reason });
  }

  opened(connection: HostedConnection): void {
    if (openChannel.hasSubscribers) openChannel.publish({ connection });
  }

  gone(connection: LiveConnection, reason: CloseReason): void {
    this.#count -= 1;
    this.#bytesIn += connection.bytesRead;
    this.#bytesOut += connection.bytesWritten;
    this.#queue.forget(connection);
    this.#connections.childExited(connection);
    this.#drain.count(connection.kind, reason);
    if (closeChannel.hasSubscribers) closeChannel.publish({ connection, reason });
    if (this.#count === 0) this.#whenEmpty?.();
  }

  report(error: HandlerError, connection: LiveConnection): void {
    if (errorChannel.hasSubscribers) errorChannel.publish({ connection, error });
    const { onError = printError } = this.#options;
    void callUser(() => onError(error, connection), undefined);
  }

  // ---- stopping ---------------------------------------------------------------------------------------------

  get stopping(): AbortSignal {
    return this.#drain.signal;
  }

  get stopLeftMs(): number | undefined {
    return this.#drain.left;
  }

  stop(deadline?: number | StopOptions): Promise<StopReport> {
    const { delayMs, deadlineMs = this.#options.stopDeadlineMs } = stopTimes(deadline);
    this.#drain.plan(delayMs, deadlineMs, () => void this.#stopInOrder());
    if (this.#treeStops) void this.supervisor.stop(this.#drain.left);
    this.#reported ??= this.closed.then(() => this.#drain.report());
    return this.#reported;
  }

  async #stopInOrder(): Promise<void> {
    const deadlineMs = this.#drain.left!;
    for (const connection of this.#connections.adopted()) {
      if ((connection as LiveConnection).state === "open") connection.shutdown(deadlineMs);
    }
    await this.#drain.lastArrivals(this);
    this.#treeStops = true;
    await this.supervisor.stop(this.#drain.left);
  }

  get taken(): number {
    return this.#accepts + this.#turnedAway;
  }

  get backlog(): number {
    // Memory has no kernel that holds connections.
    return this.#options.backlog * this.addresses.filter(({ type }) => type !== "memory").length;
  }

  get #turnedAway(): number {
    return Object.values(this.#rejections).reduce((sum, count) => sum + count, 0);
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  get handshaking(): boolean {
    for (const child of this.#connections.adopted()) {
      if ((child as LiveConnection).state === "handshaking") return true;
    }
    return false;
  }

  closeListener(): void {
    this.#listener.close();
  }

  kill(): void {
    this.#treeStops = true;
    this.#drain.plan(0, 0);
    this.supervisor.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.stop());
  }

  // ---- introspection -------------------------------------------------------------------------------

  get exited(): Promise<ExitReason> {
    return this.closed;
  }

  get tls(): ServerTls {
    const context = this.#tlsContext;
    if (context === undefined) throw new UsageError("this server was started without TLS");
    return {
      update: (options, verification = this.#options.clientVerification) =>
        context.update(options, verification),
    };
  }

  get address(): BoundAddress {
    return this.#listener.address;
  }

  get addresses(): readonly BoundAddress[] {
    return this.#listener.addresses;
  }

  get port(): number {
    const { address } = this;
    if (address.type === "tcp") return address.port;
    throw new UsageError(
      address.type === "memory"
        ? "a server on memory has no port"
        : `a server on the unix socket ${address.path} has no port`,
    );
  }

  info(): ServerInfo {
    const states = countByState();
    let bytesRead = this.#bytesIn;
    let bytesWritten = this.#bytesOut;
    for (const child of this.#connections.adopted()) {
      const connection = child as LiveConnection;
      states[connection.state] += 1;
      bytesRead += connection.bytesRead;
      bytesWritten += connection.bytesWritten;
    }
    return {
      ...whereOf(this.address),
      connections: this.#count,
      states,
      accepted: this.#accepts,
      rejected: this.#turnedAway,
      rejectedBy: { ...this.#rejections },
      bytesRead,
      bytesWritten,
    };
  }
}

function whereOf(address: BoundAddress): ServerPlace {
  if (address.type === "tcp") return { port: address.port, ipAddress: address.ipAddress };
  return address.type === "unix" ? { path: address.path } : { memory: true };
}

/** Calls `then` with the reason when a signal is aborted, or is already; returns how to stop listening. */
function whenAborted(
  signals: readonly (AbortSignal | undefined)[],
  then: (reason: unknown) => void,
): () => void {
  const listener = (event: Event) => then((event.target as AbortSignal).reason);
  for (const signal of signals) signal?.addEventListener("abort", listener);
  const aborted = signals.find((signal) => signal?.aborted);
  if (aborted !== undefined) then(aborted.reason);
  return () => {
    for (const signal of signals) signal?.removeEventListener("abort", listener);
  };
}

function printError(error: HandlerError): void {
  console.error(error);
}

/** The error that `start` rejects with when the tree does not start. */
function startError(error: unknown, giveUp: AbortSignal): unknown {
  if (!(error instanceof SupervisorStartError)) return error;
  if (error.reason === "aborted") return new StartError("listener-closed", { cause: giveUp.reason ?? error });
  if (error.childId === "acceptors") return new StartError("acceptor-failed", { cause: error.cause });
  return error.cause;
}
