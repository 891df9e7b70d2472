// A connection while it lives: one socket, one protocol, one message at a time.
//
// Owns the data path (socket "data" → protocol.data → socket.write), backpressure in both directions, the closing
// dance, and the promise that the protocol hears `closed` exactly once. The listener functions are shared by all
// sockets and find their connection by a symbol, so that an idle connection holds no closure of its own; a handler
// that answers synchronously costs neither a promise nor a microtask.
import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { Subject } from "./actor/subject.ts";
import type { Connection, ConnectionInfo, Endpoint, Sendable } from "./connection.ts";
import { DeadlineError, HandlerError, TransportError, toSocketReason, UsageError } from "./errors.ts";
import type { CloseReason, CreateProtocol, Protocol } from "./protocol.ts";
import { type TimerWheel, WheelEntry } from "./timer-wheel.ts";
import { parseIpAddress } from "./transport/address.ts";

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly wheel: TimerWheel;
  readonly settings: ConnectionSettings;
  /** Milliseconds until the stop deadline; undefined while the server is not stopping. */
  readonly stopping: number | undefined;
  /** The socket is gone and the protocol has been told. */
  gone(connection: LiveConnection, reason: CloseReason): void;
  /** Told once for every failure of user code. */
  report(error: HandlerError, connection: LiveConnection): void;
}

/** The options that shape every connection of a server. */
export interface ConnectionSettings {
  readonly create: CreateProtocol;
  /** Chunks, and bytes, read ahead of a pending handler before the socket is left unread. */
  readonly readAheadChunks: number;
  readonly readAheadBytes: number;
  /** Whether reading stops while the peer does not take what is written to it. */
  readonly readStopsWhenBlocked: boolean;
  readonly initTimeoutMs: number;
  readonly lingerMs: number;
  readonly stallMs: number;
}

const PREPARING = 0;
const OPEN = 1;
const CLOSING = 2;
const GONE = 3;

// Why the socket is not being read, as bits.
const HOLD_PENDING = 1;
const HOLD_USER = 2;
const HOLD_BLOCKED = 4;

const NORMAL: CloseReason = Object.freeze({ type: "normal" });
const SHUTDOWN: CloseReason = Object.freeze({ type: "shutdown" });
const KILLED: CloseReason = Object.freeze({ type: "killed" });

const SENT: Promise<void> = Promise.resolve();
const OWNER: unique symbol = Symbol("glisten.connection");

interface OwnedSocket extends Socket {
  [OWNER]: LiveConnection;
}

interface Waiter {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

export class LiveConnection extends WheelEntry implements Connection<never> {
  readonly id: number;
  readonly transport: "tcp" | "tls" | "unix";
  socket: Socket;
  private readonly host: ConnectionHost;
  private protocol: Protocol | undefined = undefined;
  private phase = PREPARING;
  private hold = 0;
  private busy = false;
  private blocked = false;
  private endWaits = false;
  private reason: CloseReason | undefined = undefined;
  private inbound: Buffer[] | undefined = undefined;
  private inboundBytes = 0;
  private taken: Waiter | undefined = undefined;
  private settled: (() => void) | undefined = undefined;
  private rejected: ((error: unknown) => void) | undefined = undefined;
  private address: ConnectionInfo | undefined = undefined;
  private addressee: { readonly subject: Subject<never> } | undefined = undefined;
  private reminder: (() => void) | undefined = undefined;
  private initialised: (() => void) | undefined = undefined;

  constructor(host: ConnectionHost, id: number, transport: "tcp" | "tls" | "unix", socket: Socket) {
    super();
    this.host = host;
    this.id = id;
    this.transport = transport;
    this.socket = socket;
    adopt(socket, this);
  }

  // ---- opening ----------------------------------------------------------------------------------------------

  /**
   * Makes the protocol and begins to read. Returns undefined when that is done, or calls `done` once it is done or
   * has failed: how long an `init` takes is its acceptor's concern, how it ends is not.
   */
  open(done: () => void): boolean {
    let made: Protocol | Promise<Protocol>;
    try {
      made = this.host.settings.create(this);
    } catch (error) {
      this.fail("init", error);
      return true;
    }
    if (!(made instanceof Promise)) {
      this.opened(made);
      return true;
    }
    this.initialised = done;
    this.host.wheel.arm(this, this.host.settings.initTimeoutMs);
    made.then(
      (protocol) => this.opened(protocol),
      (error: unknown) => {
        this.fail("init", error);
        this.leaveInit();
      },
    );
    return false;
  }

  private opened(protocol: Protocol): void {
    this.leaveInit();
    if (this.phase === GONE) {
      // The peer left while `init` was pending: what it made must still be told.
      this.protocol = protocol;
      this.tellClosed(protocol, this.reason ?? NORMAL);
      return;
    }
    this.protocol = protocol;
    if (this.phase === CLOSING) return;
    this.phase = OPEN;
    const { socket } = this;
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("drain", onDrain);
    if (this.hold === 0) socket.resume();
    const stopping = this.host.stopping;
    if (stopping !== undefined) this.shutdown(stopping);
  }

  private leaveInit(): void {
    const done = this.initialised;
    if (done === undefined) return;
    this.initialised = undefined;
    if (this.phase === PREPARING) this.host.wheel.disarm(this);
    done();
  }

  // ---- the data path ----------------------------------------------------------------------------------------

  receive(chunk: Buffer): void {
    if (this.busy || this.phase !== OPEN) return this.readAhead(chunk);
    let pending: void | Promise<void>;
    try {
      pending = this.protocol!.data(chunk);
    } catch (error) {
      this.fail("data", error);
      return;
    }
    if (pending !== undefined) this.wait(pending);
  }

  /** A chunk came while the handler is pending. It waits; past the limit the socket is left unread. */
  private readAhead(chunk: Buffer): void {
    if (this.phase !== OPEN) return; // Closing: read and discarded.
    const { readAheadChunks, readAheadBytes } = this.host.settings;
    this.inbound ??= [];
    this.inbound.push(chunk);
    this.inboundBytes += chunk.length;
    if (this.inbound.length >= readAheadChunks || this.inboundBytes >= readAheadBytes)
      this.holdFor(HOLD_PENDING);
  }

  private wait(pending: Promise<void>): void {
    this.busy = true;
    this.settled ??= () => this.goOn();
    this.rejected ??= (error) => this.fail("data", error);
    pending.then(this.settled, this.rejected);
  }

  private goOn(): void {
    this.busy = false;
    while (this.phase === OPEN && this.inbound !== undefined && this.inbound.length > 0) {
      if (this.busy || (this.hold & ~HOLD_PENDING) !== 0) return;
      const chunk = this.inbound.shift()!;
      this.inboundBytes -= chunk.length;
      this.receive(chunk);
    }
    if (this.busy || this.phase !== OPEN) return;
    this.release(HOLD_PENDING);
    if (this.endWaits) this.receiveEnd();
  }

  receiveEnd(): void {
    if (this.phase !== OPEN) return;
    if (this.busy || (this.inbound !== undefined && this.inbound.length > 0)) {
      this.endWaits = true;
      return;
    }
    this.endWaits = false;
    const protocol = this.protocol!;
    if (protocol.end === undefined) {
      this.close();
      return;
    }
    try {
      protocol.end();
    } catch (error) {
      this.fail("end", error);
    }
  }

  private holdFor(why: number): void {
    if (this.hold === 0 && this.phase === OPEN) this.socket.pause();
    this.hold |= why;
  }

  private release(why: number): void {
    if (this.hold === 0) return;
    this.hold &= ~why;
    if (this.hold === 0 && this.phase === OPEN) this.socket.resume();
  }

  pause(): void {
    this.holdFor(HOLD_USER);
  }

  resume(): void {
    this.unhold(HOLD_USER);
  }

  /** Takes a hold back and hands over what was read in the meantime, before anything newer. */
  private unhold(why: number): void {
    this.release(why);
    if (!this.busy && this.phase === OPEN && this.inbound !== undefined && this.inbound.length > 0) {
      this.wait(SENT);
    }
  }

  // ---- writing ----------------------------------------------------------------------------------------------

  write(data: string | Uint8Array, encoding: "utf8" | "latin1" = "utf8", onSent?: () => void): boolean {
    const { socket } = this;
    if (this.phase >= CLOSING || !socket.writable) return false;
    // Node says false as soon as one write exceeds the mark, even if the kernel took it all at once.
    if (socket.write(data as string, encoding, onSent) || socket.writableLength === 0) return true;
    return this.stall();
  }

  private stall(): false {
    this.blocked = true;
    if (this.host.settings.readStopsWhenBlocked) this.holdFor(HOLD_BLOCKED);
    return false;
  }

  send(data: Sendable): Promise<void> {
    const { socket } = this;
    if (this.phase >= CLOSING || !socket.writable) return refused(new TransportError("closed"));
    if (typeof data === "string" || data instanceof Uint8Array) {
      return this.write(data) ? SENT : this.whenTaken();
    }
    socket.cork();
    for (const part of data) socket.write(part as string);
    socket.uncork();
    if (!socket.writableNeedDrain || socket.writableLength === 0) return SENT;
    this.stall();
    return this.whenTaken();
  }

  private whenTaken(): Promise<void> {
    this.taken ??= waiter();
    return this.taken.promise;
  }

  drained(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.taken?.resolve();
    this.taken = undefined;
    if (this.phase !== OPEN) return;
    const protocol = this.protocol!;
    if (protocol.drain !== undefined) {
      try {
        protocol.drain();
      } catch (error) {
        this.fail("drain", error);
        return;
      }
    }
    if (!this.blocked) this.unhold(HOLD_BLOCKED);
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  get bufferedAmount(): number {
    return this.socket.writableLength;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten;
  }

  // ---- ending -----------------------------------------------------------------------------------------------

  get closed(): boolean {
    return this.phase === GONE || this.socket.destroyed;
  }

  end(): void {
    if (this.phase >= CLOSING || !this.socket.writable) return;
    this.finishThenTell();
    this.socket.end();
  }

  close(): void {
    if (this.phase >= CLOSING) return;
    this.phase = CLOSING;
    this.inbound = undefined;
    const { socket } = this;
    if (socket.writable) {
      this.finishThenTell();
      socket.end();
    }
    this.host.wheel.arm(this, this.host.settings.lingerMs);
    socket.resume();
  }

  /** After `end` Node tells "finish" in place of "drain". */
  private finishThenTell(): void {
    if (this.blocked) this.socket.once("finish", onDrain);
  }

  /** The linger is over. Flushed: nothing is lost by leaving. Else the peer has until it stalls, and is not read. */
  private lingered(): void {
    const { socket } = this;
    if (socket.writableFinished) {
      this.destroy();
      return;
    }
    // Node's own socket timeout counts progress of a write under way, which is not to be seen from outside.
    socket.pause();
    socket.setTimeout(this.host.settings.stallMs, onStall);
  }

  stalled(): void {
    this.reason ??= { type: "reset", code: "timeout" };
    this.socket.destroy();
  }

  destroy(error?: unknown): void {
    if (this.phase === GONE) return;
    if (error !== undefined) {
      this.fail("destroy", error);
      return;
    }
    this.reason ??= this.host.stopping === undefined ? NORMAL : SHUTDOWN;
    if (this.phase < CLOSING) this.phase = CLOSING;
    this.socket.destroy();
  }

  reset(): void {
    this.reason ??= NORMAL;
    if (this.phase < CLOSING) this.phase = CLOSING;
    if (this.transport === "unix") this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Never opened, and it will not be. */
  drop(): void {
    this.destroy();
  }

  kill(): void {
    this.reason = KILLED;
    if (this.phase < CLOSING) this.phase = CLOSING;
    this.socket.destroy();
  }

  shutdown(deadlineMs: number): void {
    if (this.phase !== OPEN) return;
    try {
      this.protocol!.shutdown?.(deadlineMs);
    } catch (error) {
      this.fail("shutdown", error);
    }
  }

  /** User code failed: told once, and this connection is over. */
  fail(during: string, error: unknown): void {
    if (this.reason?.type === "handler") return;
    // A handler that stumbles over the very loss of its connection has not failed.
    const lost = this.phase === GONE && error instanceof TransportError;
    if (!lost) this.host.report(new HandlerError(during, error), this);
    if (this.phase === GONE) return;
    this.reason = { type: "handler", error };
    this.phase = CLOSING;
    this.socket.destroy();
  }

  failedSocket(error: unknown): void {
    this.reason ??= { type: "reset", code: toSocketReason(error) };
  }

  finished(): void {
    if (this.phase === GONE) return;
    this.phase = GONE;
    this.host.wheel.remove(this);
    this.inbound = undefined;
    const reason = (this.reason ??= this.host.stopping === undefined ? NORMAL : SHUTDOWN);
    this.taken?.reject(new TransportError("closed"));
    this.taken = undefined;
    this.leaveInit();
    if (this.protocol === undefined) this.leave(reason);
    else this.tellClosed(this.protocol, reason);
  }

  private tellClosed(protocol: Protocol, reason: CloseReason): void {
    let pending: void | Promise<void>;
    try {
      pending = protocol.closed?.(reason);
    } catch (error) {
      this.host.report(new HandlerError("close", error), this);
    }
    if (pending === undefined) {
      this.leave(reason);
      return;
    }
    pending.then(
      () => this.leave(reason),
      (error: unknown) => {
        this.host.report(new HandlerError("close", error), this);
        this.leave(reason);
      },
    );
  }

  private leave(reason: CloseReason): void {
    this.host.wheel.remove(this);
    this.host.gone(this, reason);
  }

  // ---- deadlines --------------------------------------------------------------------------------------------

  setDeadline(ms: number): void {
    // While an asynchronous `init` is pending the slot is its own; one that answers at once may set it already.
    if (this.phase !== OPEN && (this.phase !== PREPARING || this.initialised !== undefined)) return;
    if (ms <= 0) this.host.wheel.disarm(this);
    else this.host.wheel.arm(this, ms);
  }

  due(): void {
    if (this.phase === OPEN) {
      try {
        this.protocol!.deadline?.();
      } catch (error) {
        this.fail("deadline", error);
      }
    } else if (this.phase === CLOSING) this.lingered();
    else if (this.phase === PREPARING) this.fail("init", new DeadlineError("init"));
    else this.reminder?.();
  }

  /** After the end: `then` is called in `ms`, unless `closed` is done with by then. */
  remind(ms: number, then: () => void): void {
    this.reminder = then;
    this.host.wheel.arm(this, ms);
  }

  // ---- who is there -----------------------------------------------------------------------------------------

  /** The handler that takes this connection's user messages. */
  addressed(addressee: { readonly subject: Subject<never> }): void {
    this.addressee = addressee;
  }

  get subject(): Subject<never> {
    if (this.addressee !== undefined) return this.addressee.subject;
    throw new UsageError("connection.subject exists only with glisten.new(init, loop)");
  }

  info(): ConnectionInfo {
    this.address ??= readAddress(this.socket);
    return this.address;
  }

  get alpnProtocol(): string | false {
    return (this.socket as Partial<TLSSocket>).alpnProtocol || false;
  }

  get serverName(): string | undefined {
    return undefined;
  }

  peerCertificate(): PeerCertificate | undefined {
    return undefined;
  }
}

function adopt(socket: Socket, connection: LiveConnection): void {
  (socket as OwnedSocket)[OWNER] = connection;
  socket.on("error", onError);
  socket.on("close", onClose);
}

function onData(this: Socket, chunk: Buffer): void {
  (this as OwnedSocket)[OWNER].receive(chunk);
}

function onEnd(this: Socket): void {
  (this as OwnedSocket)[OWNER].receiveEnd();
}

function onDrain(this: Socket): void {
  (this as OwnedSocket)[OWNER].drained();
}

function onStall(this: Socket): void {
  (this as OwnedSocket)[OWNER].stalled();
}

function onError(this: Socket, error: Error): void {
  (this as OwnedSocket)[OWNER].failedSocket(error);
}

function onClose(this: Socket): void {
  (this as OwnedSocket)[OWNER].finished();
}

function refused(error: TransportError): Promise<void> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

function ignore(): void {}

function waiter(): Waiter {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
}

function readAddress(socket: Socket): ConnectionInfo {
  const local = endpoint(socket.localAddress, socket.localPort);
  const peer = endpoint(socket.remoteAddress, socket.remotePort);
  return { ...peer, local };
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const ipAddress = address === undefined ? undefined : parseIpAddress(address);
  if (ipAddress === undefined || port === undefined) throw new TransportError("enotconn");
  return { ipAddress, port };
}
