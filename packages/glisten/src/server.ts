// The server: its tree, its counters, its stop.
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { Acceptor } from "./acceptor.ts";
import type { Connection } from "./connection.ts";
import { type HandlerError, StartError, toSocketReason } from "./errors.ts";
import { closeChannel, errorChannel, type Rejection, rejectedChannel } from "./events.ts";
import { ArrivalQueue, listen } from "./listener.ts";
import { type ConnectionHost, type ConnectionSettings, LiveConnection } from "./live-connection.ts";
import { READ_AHEAD_BYTES, type ServerOptions } from "./options.ts";
import type { CloseReason, CreateProtocol } from "./protocol.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** Hears of a failure of user code on one connection. */
export type ErrorHandler = (error: HandlerError, connection: Connection<never>) => void;

/** What `stop` did. Also the reason the server exited with. */
export interface StopReport {
  readonly type: "shutdown";
  /** Connections that ended by themselves before the deadline. */
  readonly drained: number;
  /** Connections still there at the deadline, and destroyed. */
  readonly killed: number;
}

export class Server implements ConnectionHost {
  readonly wheel: TimerWheel = new TimerWheel();
  readonly settings: ConnectionSettings;
  private readonly options: ServerOptions;
  private readonly live: Set<LiveConnection> = new Set();
  private readonly queue: ArrivalQueue;
  private readonly acceptors: Acceptor[] = [];
  private listener: NetServer | undefined = undefined;
  private accepted = 0;
  private rejected = 0;
  private stopAt: number | undefined = undefined;
  private whenEmpty: (() => void) | undefined = undefined;
  private stopped: Promise<StopReport> | undefined = undefined;

  constructor(options: ServerOptions, create: CreateProtocol, isHandler: boolean) {
    this.options = options;
    const { activeState } = options;
    this.settings = {
      create,
      readAheadChunks:
        activeState === "once" ? 1 : activeState === "active" ? Number.POSITIVE_INFINITY : activeState.count,
      readAheadBytes: activeState === "active" ? READ_AHEAD_BYTES : Number.POSITIVE_INFINITY,
      readStopsWhenBlocked: isHandler,
      initTimeoutMs: options.initTimeoutMs,
      lingerMs: options.lingerMs,
      stallMs: options.stallMs,
    };
    this.queue = new ArrivalQueue(options.maxQueue);
  }

  async start(port: number): Promise<void> {
    try {
      this.listener = await listen({
        host: this.options.interface === "localhost" ? "127.0.0.1" : this.options.interface,
        port,
        ipv6Only: !this.options.ipv6,
        backlog: this.options.backlog,
        highWaterMark: this.options.highWaterMark,
        accepted: (socket) => this.accept(socket),
      });
    } catch (error) {
      throw new StartError("system-error", `cannot listen on port ${port}`, {
        cause: error,
        code: toSocketReason(error),
      });
    }
    for (let i = 0; i < this.options.poolSize; i++) {
      const acceptor = new Acceptor(this.queue);
      this.acceptors.push(acceptor);
      acceptor.start();
    }
  }

  private accept(socket: Socket): void {
    if (this.live.size >= this.options.maxConnections) {
      this.refuse(socket, "max-connections");
      return;
    }
    this.accepted += 1;
    const connection = new LiveConnection(this, this.accepted, "tcp", socket);
    this.live.add(connection);
    if (!this.queue.offer(connection)) {
      this.rejected += 1;
      connection.destroy();
    }
  }

  private refuse(socket: Socket, reason: Rejection): void {
    this.rejected += 1;
    socket.destroy();
    if (rejectedChannel.hasSubscribers) rejectedChannel.publish({ reason });
  }

  get port(): number {
    return (this.listener!.address() as AddressInfo).port;
  }

  get stopping(): number | undefined {
    return this.stopAt === undefined ? undefined : Math.max(0, this.stopAt - performance.now());
  }

  gone(connection: LiveConnection, reason: CloseReason): void {
    if (!this.live.delete(connection)) return;
    this.queue.forget(connection);
    if (closeChannel.hasSubscribers) closeChannel.publish({ connection, reason });
    if (this.live.size === 0) this.whenEmpty?.();
  }

  report(error: HandlerError, connection: LiveConnection): void {
    if (errorChannel.hasSubscribers) errorChannel.publish({ connection, error });
    if (this.options.onError !== undefined) this.options.onError(error, connection);
    else console.error(error);
  }

  stop(options: { readonly deadlineMs?: number } = {}): Promise<StopReport> {
    this.stopped ??= this.stopOnce(options.deadlineMs ?? this.options.stopDeadlineMs);
    return this.stopped;
  }

  private async stopOnce(deadlineMs: number): Promise<StopReport> {
    this.stopAt = performance.now() + deadlineMs;
    for (const acceptor of this.acceptors) acceptor.stop();
    this.listener?.close();
    const before = this.live.size;
    this.queue.clear();
    for (const connection of this.live) connection.shutdown(deadlineMs);
    const empty = new Promise<void>((resolve) => {
      this.whenEmpty = resolve;
    });
    if (this.live.size === 0) return { type: "shutdown", drained: before, killed: 0 };
    let killed = 0;
    const timer = setTimeout(() => {
      killed = this.live.size;
      for (const connection of this.live) connection.kill();
    }, deadlineMs);
    await empty;
    clearTimeout(timer);
    return { type: "shutdown", drained: before - killed, killed };
  }
}
