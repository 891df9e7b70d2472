/**
 * A connection while it lives: one socket, one protocol, one message at a time.
 *
 * Owns the data path (socket "data" → protocol.data → socket.write), backpressure in both directions, the closing
 * dance, and the promise that the protocol hears `closed` exactly once. The listener functions are shared by all
 * sockets and find their connection by a symbol, so that an idle connection holds no closure of its own; a handler
 * that answers synchronously costs neither a promise nor a microtask.
 */

import type { Socket } from "node:net";
import type { PeerCertificate } from "node:tls";
import type { LightChild, Subject } from "./actor/index.ts";
import type { Arrival } from "./arrivals.ts";
import type { Connection, ConnectionInfo, Endpoint, Sendable } from "./connection.ts";
import { DeadlineError, HandlerError, TransportError, toSocketReason, UsageError } from "./errors.ts";
import type { Candidate, Handshake, Handshaken } from "./handshake.ts";
import type { CloseReason, CreateProtocol, Protocol } from "./protocol.ts";
import { abandon, adopt, attend, onDrain, onStall } from "./socket-listeners.ts";
import { type TimerWheel, WheelEntry } from "./timer-wheel.ts";
import { connectionInfo } from "./transport/address.ts";

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly wheel: TimerWheel;
  readonly settings: ConnectionSettings;
  readonly address: { readonly type: "tcp" | "unix" };
  /** Milliseconds until the stop deadline; undefined while the server is not stopping. */
  readonly stopping: number | undefined;
  /** The handshake is done; an acceptor may open the connection. */
  ready(connection: LiveConnection): void;
  /** The protocol is there and reading begins. */
  opened(connection: LiveConnection): void;
  /** The socket is gone and the protocol has been told. */
  gone(connection: LiveConnection, reason: CloseReason): void;
  /** Told once for every failure of user code. */
  report(error: HandlerError, connection: LiveConnection): void;
}

/** The options that shape every connection of a server. */
export interface ConnectionSettings {
  readonly create: CreateProtocol;
  /** What comes before the protocol: a PROXY header, TLS; undefined: nothing. */
  readonly handshake: Handshake | undefined;
  /** Chunks, and bytes, read ahead of a pending handler before the socket is left unread. */
  readonly readAheadChunks: number;
  readonly readAheadBytes: number;
  /** Whether reading stops while the peer does not take what is written to it. */
  readonly readStopsWhenBlocked: boolean;
  /** Bytes written and not taken above which more are not welcome; at least Node's own mark. */
  readonly highWaterMark: number;
  readonly handshakeTimeoutMs: number;
  readonly initTimeoutMs: number;
  readonly lingerMs: number;
  readonly stallMs: number;
}

/** How far a connection has come. */
export type ConnectionState = "waiting" | "handshaking" | "initialising" | "open" | "closing";

const WAITING = 0;
const HANDSHAKING = 1;
const INITIALISING = 2;
const OPEN = 3;
const CLOSING = 4;
const GONE = 5;

// A connection that is gone but whose `closed` has not settled still counts as closing.
const NAMES: readonly ConnectionState[] = [
  "waiting",
  "handshaking",
  "initialising",
  "open",
  "closing",
  "closing",
];

// Why the socket is not being read, as bits.
const HOLD_PENDING = 1;
const HOLD_USER = 2;
const HOLD_BLOCKED = 4;

const NORMAL: CloseReason = Object.freeze({ type: "normal" });
const SHUTDOWN: CloseReason = Object.freeze({ type: "shutdown" });
const KILLED: CloseReason = Object.freeze({ type: "killed" });

const SENT: Promise<void> = Promise.resolve();

interface Waiter {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

export class LiveConnection extends WheelEntry implements Connection<never>, Arrival, Candidate, LightChild {
  readonly id: number;
  /** The supervisor's: see `Roster`. */
  place = -1;
  socket: Socket;
  private readonly host: ConnectionHost;
  private protocol: Protocol | undefined = undefined;
  private phase = WAITING;
  private hold = 0;
  private busy = false;
  private blocked = false;
  private endWaits = false;
  private left = false;
  private reason: CloseReason | undefined = undefined;
  private inbound: Buffer[] | undefined = undefined;
  private inboundBytes = 0;
  private taken: Waiter | undefined = undefined;
  private settled: (() => void) | undefined = undefined;
  private rejected: ((error: unknown) => void) | undefined = undefined;
  private raw: Socket | undefined = undefined;
  private agreed: Handshaken | undefined = undefined;
  private who: ConnectionInfo | undefined = undefined;
  private addressee: { readonly subject: Subject<never> } | undefined = undefined;
  private reminder: (() => void) | undefined = undefined;
  private initialised: (() => void) | undefined = undefined;

  constructor(host: ConnectionHost, id: number, socket: Socket) {
    super();
    this.host = host;
    this.id = id;
    this.socket = socket;
    adopt(socket, this);
  }

  // ---- opening ----------------------------------------------------------------------------------------------

  /** Goes through the handshake, if there is one, and then reports to its server as ready. */
  prepare(): void {
    const { handshake, handshakeTimeoutMs } = this.host.settings;
    if (handshake === undefined) {
      this.host.ready(this);
      return;
    }
    this.phase = HANDSHAKING;
    this.host.wheel.arm(this, handshakeTimeoutMs);
    handshake.begin(this.socket, this);
  }

  /** The handshake moved on to a socket of its own (TLS) above the one that was accepted. */
  wrapped(socket: Socket): void {
    abandon(this.socket);
    this.raw = this.socket;
    this.socket = socket;
    adopt(socket, this);
  }

  /** The handshake is done. */
  handshaken(result: Handshaken): void {
    if (this.phase !== HANDSHAKING) return;
    this.agreed = result;
    this.phase = WAITING;
    this.host.wheel.disarm(this);
    this.host.ready(this);
  }

  /** The handshake failed: nothing but this connection is lost. */
  refuse(error: unknown): void {
    if (this.phase !== HANDSHAKING) return;
    this.reason = { type: "handshake", error };
    this.cut();
  }

  /** Makes the protocol and begins to read; `done` is called unless that was possible at once. */
  open(done: () => void): boolean {
    if (this.phase !== WAITING) return true;
    this.phase = INITIALISING;
    let made: Protocol | Promise<Protocol>;
    try {
      made = this.host.settings.create(this);
    } catch (error) {
      this.fail("init", error);
      return true;
    }
    if (!isPromise(made)) {
      this.opened(made);
      return true;
    }
    this.initialised = done;
    this.host.wheel.arm(this, this.host.settings.initTimeoutMs);
    made.then(
      (protocol) => this.opened(protocol),
      (error: unknown) => this.fail("init", error),
    );
    return false;
  }

  private opened(protocol: Protocol): void {
    this.protocol = protocol;
    const { phase, socket } = this;
    if (phase === INITIALISING) {
      this.phase = OPEN;
      attend(socket);
      if (this.hold === 0) socket.resume();
      this.host.opened(this);
    } else if (phase === GONE) {
      // The peer left while `init` was pending: what it made must still be told.
      this.tellClosed(protocol, this.reason!);
    }
    this.leaveInit();
    if (phase === INITIALISING && this.host.stopping !== undefined) this.shutdown(this.host.stopping);
  }

  become(protocol: Protocol): void {
    this.protocol = protocol;
  }

  private leaveInit(): void {
    const done = this.initialised;
    if (done === undefined) return;
    this.initialised = undefined;
    // Unless `init` itself has set a deadline or closed, the one that is armed is that of `init`.
    if (this.phase === OPEN) this.host.wheel.disarm(this);
    done();
  }

  // ---- the data path ----------------------------------------------------------------------------------------

  receive(chunk: Buffer): void {
    if (this.busy || this.phase !== OPEN) {
      this.readAhead(chunk);
      return;
    }
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
    // Node's own mark is low, and it says false even if the kernel has taken everything at once.
    return socket.write(data as string, encoding, onSent) || this.hasRoom();
  }

  /** Whether more is welcome; if not, reading may stop until the peer has taken what there is. */
  private hasRoom(): boolean {
    const { highWaterMark, readStopsWhenBlocked } = this.host.settings;
    const { socket } = this;
    if (socket.writableLength <= highWaterMark) return true;
    // Few connections are ever blocked: only they listen.
    if (!this.blocked) socket.once("drain", onDrain);
    this.blocked = true;
    if (readStopsWhenBlocked) this.holdFor(HOLD_BLOCKED);
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
    return this.hasRoom() ? SENT : this.whenTaken();
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
    if (!socket.readableEnded) socket.resume();
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
    this.reason ??= this.orderly();
    this.cut();
  }

  reset(): void {
    if (this.phase === GONE) return;
    this.reason ??= this.orderly();
    if (this.phase < CLOSING) this.phase = CLOSING;
    // Node resets TCP sockets only; one below TLS takes TLS with it.
    if (this.host.address.type === "unix") this.socket.destroy();
    else (this.raw ?? this.socket).resetAndDestroy();
  }

  /** Destroys the socket; the rest follows with its "close". */
  private cut(): void {
    if (this.phase < CLOSING) this.phase = CLOSING;
    this.socket.destroy();
  }

  private orderly(): CloseReason {
    return this.host.stopping === undefined ? NORMAL : SHUTDOWN;
  }

  /** Never opened, and it will not be. */
  drop(): void {
    this.destroy();
  }

  /** The stop deadline has passed. */
  kill(): void {
    this.reason = KILLED;
    if (this.phase === GONE) this.leave(KILLED);
    else this.cut();
  }

  /** The server is stopping. Whoever is still shaking hands has been promised nothing. */
  shutdown(deadlineMs: number): void {
    if (this.phase < INITIALISING) this.destroy();
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
    if (this.phase === GONE) {
      this.leaveInit();
      return;
    }
    this.reason = { type: "handler", error };
    this.cut();
    this.leaveInit();
  }

  failedSocket(error: unknown): void {
    // A peer may answer our FIN with a reset: it has all we had to say.
    if (this.phase === CLOSING && this.socket.writableFinished) return;
    this.reason ??= { type: "reset", code: toSocketReason(error) };
  }

  finished(): void {
    const { phase } = this;
    if (phase === GONE) return;
    this.phase = GONE;
    this.host.wheel.remove(this);
    this.inbound = undefined;
    const reason = this.endReason(phase);
    this.reason = reason;
    this.taken?.reject(new TransportError("closed"));
    this.taken = undefined;
    this.leaveInit();
    if (this.protocol === undefined) this.leave(reason);
    else this.tellClosed(this.protocol, reason);
  }

  private endReason(phase: number): CloseReason {
    const { reason } = this;
    // However the peer broke off its handshake, that is what failed.
    if (phase === HANDSHAKING && (reason === undefined || reason.type === "reset")) {
      return { type: "handshake", error: new TransportError(reason?.code ?? "closed") };
    }
    return reason ?? this.orderly();
  }

  private tellClosed(protocol: Protocol, reason: CloseReason): void {
    let pending: void | Promise<void>;
    try {
      pending = protocol.closed?.(reason);
    } catch (error) {
      this.host.report(new HandlerError("close", error), this);
      pending = undefined;
    }
    // Past the stop deadline nobody waits.
    if (pending === undefined || reason.type === "killed") {
      pending?.then(undefined, (error: unknown) => this.host.report(new HandlerError("close", error), this));
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
    if (this.left) return;
    this.left = true;
    this.host.wheel.remove(this);
    this.host.gone(this, reason);
  }

  // ---- deadlines --------------------------------------------------------------------------------------------

  setDeadline(ms: number): void {
    // While an asynchronous `init` is pending the slot is its own; one that answers at once may set it already.
    if (this.phase !== OPEN && (this.phase !== INITIALISING || this.initialised !== undefined)) return;
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
    else if (this.phase === HANDSHAKING) {
      const { handshake, handshakeTimeoutMs } = this.host.settings;
      this.refuse(handshake!.late(handshakeTimeoutMs));
    } else if (this.phase === INITIALISING) {
      this.fail("init", new DeadlineError("init", this.host.settings.initTimeoutMs));
    } else this.reminder?.();
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

  get transport(): "tcp" | "tls" | "unix" {
    return this.raw === undefined ? this.host.address.type : "tls";
  }

  get state(): ConnectionState {
    return NAMES[this.phase]!;
  }

  get kind(): string {
    return this.protocol?.kind ?? "connection";
  }

  info(): ConnectionInfo {
    this.who ??= readInfo(this.socket, this.agreed?.client);
    return this.who;
  }

  get alpnProtocol(): string | false {
    return this.agreed?.tls?.alpnProtocol || false;
  }

  get serverName(): string | undefined {
    return this.agreed?.tls?.servername || undefined;
  }

  peerCertificate(): PeerCertificate | undefined {
    const tls = this.agreed?.tls;
    return tls?.authorized ? tls.getPeerCertificate(true) : undefined;
  }
}

function refused(error: TransportError): Promise<void> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

function isPromise(made: Protocol | Promise<Protocol>): made is Promise<Protocol> {
  return typeof (made as Partial<Promise<Protocol>>).then === "function";
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

function readInfo(socket: Socket, peer: Endpoint | undefined): ConnectionInfo {
  const there = peer ?? connectionInfo(socket.remoteAddress, socket.remotePort);
  const here = connectionInfo(socket.localAddress, socket.localPort);
  if (there === undefined || here === undefined) throw new TransportError("enotconn");
  return { ipAddress: there.ipAddress, port: there.port, local: here };
}
