// A connection while it lives: one socket, one protocol, from the handshake to the last word.
//
// Owns the phases (`phase.ts`), the answer to "is the socket read?", the closing dance, and the promise that the
// protocol hears `closed` exactly once. Its collaborators exist only while they are needed, so an idle connection has
// none of them: `inbound.ts` while the protocol's promise is open, `outbound.ts` once the peer takes less than it is
// given, `send-deadline.ts` while bytes wait for the peer. The socket's listeners are shared by all connections.

import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { LightChild } from "../actor/index.ts";
import type { Subject } from "../actor/subject.ts";
import { callUser } from "../actor/user-code.ts";
import { DeadlineError, HandlerError, TransportError, toSocketReason, UsageError } from "../errors.ts";
import { quietRejection } from "../flow.ts";
import { weigh } from "../performance/heap-weight.ts";
import type { Timed } from "../server/timer-wheel.ts";
import { type Sendable, writeParts } from "../transport/sendable.ts";
import type { ConnectionInfo, Endpoint } from "./connection.ts";
import type { ConnectionHost, HostedConnection } from "./connection-host.ts";
import type { Candidate, Handshaken } from "./handshake.ts";
import { Inbound, type Reader } from "./inbound.ts";
import { lengthOf, Outbound, pieceBytes } from "./outbound.ts";
import { connectionInfo } from "./peer-address.ts";
import {
  CLOSING,
  type ConnectionState,
  GONE,
  HANDSHAKING,
  INITIALISING,
  LEFT,
  OPEN,
  stateOf,
  WAITING,
} from "./phase.ts";
import type { CloseReason, Protocol } from "./protocol.ts";
import { type Debtor, SendDeadline } from "./send-deadline.ts";
import { abandon, adopt, attend, onFinish, type SocketOwner } from "./socket-listeners.ts";

const normal: CloseReason = Object.freeze({ type: "normal" });
const shutdown: CloseReason = Object.freeze({ type: "shutdown" });
const killed: CloseReason = Object.freeze({ type: "killed" });

const sent: Promise<void> = Promise.resolve();

// Why the socket is not read, as bits; 0: it is.
const heldByReadAhead = 1;
const heldByUser = 2;
const heldByPeer = 4;

// What has happened besides the phases, as bits: a connection is one of very many.
const toldToStop = 1;
const endedWriting = 2;
const lingerIsOver = 4;
const tellingClosed = 8;
const toldClosed = 16;
const peerLost = 32;

/** A connection, whole. */
export class LiveConnection
  implements HostedConnection, Candidate, LightChild, SocketOwner, Reader, Debtor, Timed
{
  readonly id: number;
  /** Node's socket; with TLS the one above. */
  socket: Socket;
  /** The supervisor's: see `Roster`. */
  place = -1;
  // The wheel's.
  dueTurn = 0;
  slotTurn = 0;
  next: Timed | undefined = undefined;
  previous: Timed | undefined = undefined;
  readonly #host: ConnectionHost;
  #phase: number = WAITING;
  #hold = 0;
  #marks = 0;
  #protocol: Protocol | undefined = undefined;
  #inbound: Inbound | undefined = undefined;
  #outbound: Outbound | undefined = undefined;
  #sendDeadline: SendDeadline | undefined = undefined;
  /** The socket below TLS. */
  #raw: Socket | undefined = undefined;
  /** The real client, where a PROXY header told it. */
  #client: Endpoint | undefined = undefined;
  #info: ConnectionInfo | undefined = undefined;
  #reason: CloseReason | undefined = undefined;
  /** Called once an asynchronous `init` is over. */
  #initialised: (() => void) | undefined = undefined;

  constructor(host: ConnectionHost, id: number, socket: Socket) {
    this.#host = host;
    this.id = id;
    this.socket = socket;
    adopt(socket, this);
  }

  // ---- opening ----------------------------------------------------------------------------------------------

  /** Goes through the handshake, if there is one, and then reports to its server as ready. */
  prepare(): void {
    const { handshake, handshakeTimeoutMs } = this.#host.settings;
    if (handshake === undefined) {
      this.#host.ready(this);
      return;
    }
    this.#phase = HANDSHAKING;
    this.#host.wheel.arm(this, handshakeTimeoutMs);
    handshake(this.socket, this);
  }

  handshaken({ client, tls }: Handshaken): void {
    if (this.#phase !== HANDSHAKING) return;
    this.#client = client;
    if (tls !== undefined) {
      abandon(this.socket);
      this.#raw = this.socket;
      this.socket = tls;
      adopt(tls, this);
    }
    this.#phase = WAITING;
    this.#host.wheel.disarm(this);
    this.#host.ready(this);
  }

  refuse(error: unknown): void {
    if (this.#phase !== HANDSHAKING) return;
    this.#reason = { type: "handshake", error };
    this.#destroySocket();
  }

  open(done: () => void): boolean {
    if (this.#phase !== WAITING) return true;
    this.#phase = INITIALISING;
    let opening: void | Promise<void>;
    try {
      this.#protocol = this.#host.settings.create(this);
      opening = this.#protocol.open?.();
    } catch (error) {
      this.fail("init", error);
      return true;
    }
    if (opening === undefined) {
      this.#opened();
      return true;
    }
    if ((this.#phase as number) >= CLOSING) return true;
    this.#initialised = done;
    this.#host.wheel.arm(this, this.#host.settings.initTimeoutMs);
    Promise.resolve(opening).then(
      () => this.#opened(),
      (error: unknown) => this.fail("init", error),
    );
    return false;
  }

  #opened(): void {
    const phase = this.#phase;
    if (phase === INITIALISING) {
      this.#phase = OPEN;
      attend(this.socket);
      if (this.#hold === 0) this.socket.resume();
      this.#host.opened(this);
    }
    this.#leaveInit();
    const { stopLeftMs } = this.#host;
    if (phase === INITIALISING && stopLeftMs !== undefined) this.shutdown(stopLeftMs);
  }

  become(protocol: Protocol): void {
    this.#protocol = protocol;
  }

  #leaveInit(): void {
    const done = this.#initialised;
    if (done === undefined) return;
    this.#initialised = undefined;
    // Unless `init` itself has set a deadline or closed, the one that is armed is that of `init`.
    if (this.#phase === OPEN) this.#host.wheel.disarm(this);
    done();
  }

  // ---- reading ----------------------------------------------------------------------------------------------

  receive(chunk: Buffer): void {
    weigh(chunk);
    if (this.#phase !== OPEN) return; // Closing: read and discarded.
    if (this.#inbound?.keep(chunk) !== true) this.deliver(chunk);
  }

  deliver(chunk: Buffer): void {
    let pending: void | Promise<void>;
    try {
      pending = this.#protocol!.data(chunk);
    } catch (error) {
      this.fail("data", error);
      return;
    }
    if (pending === undefined) return;
    this.#inbound ??= new Inbound(this, this.#host.settings);
    this.#inbound.wait(pending);
  }

  receiveEnd(): void {
    if (this.#phase !== OPEN || this.#inbound?.keepEnd() === true) return;
    const protocol = this.#protocol!;
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

  get takesChunks(): boolean {
    return this.#phase === OPEN && (this.#hold & ~heldByReadAhead) === 0;
  }

  readAheadFull(): void {
    this.#holdFor(heldByReadAhead);
  }

  caughtUp(): void {
    this.#release(heldByReadAhead);
  }

  pause(): void {
    this.#holdFor(heldByUser);
  }

  resume(): void {
    this.#unhold(heldByUser);
  }

  #holdFor(why: number): void {
    if (this.#hold === 0 && this.#phase === OPEN) this.socket.pause();
    this.#hold |= why;
  }

  #release(why: number): void {
    if (this.#hold === 0) return;
    this.#hold &= ~why;
    if (this.#hold === 0 && this.#phase === OPEN) this.socket.resume();
  }

  /** Takes a hold back and hands over what was read in the meantime, before anything newer. */
  #unhold(why: number): void {
    this.#release(why);
    if (this.#phase === OPEN) this.#inbound?.resume();
  }

  // ---- writing ----------------------------------------------------------------------------------------------

  get #writable(): boolean {
    return this.#phase < CLOSING && (this.#marks & endedWriting) === 0 && this.socket.writable;
  }

  write(data: Sendable, encoding: "utf8" | "latin1" = "utf8", onSent?: () => void): boolean {
    if (!this.#writable) return false;
    const { socket } = this;
    if (lengthOf(data) > pieceBytes || this.#heldBytes > 0)
      return this.#writeInPieces(data, encoding, onSent);
    if (typeof data === "string" || data instanceof Uint8Array) {
      socket.write(data as string, encoding, onSent);
    } else {
      writeParts(socket, data, encoding, onSent);
    }
    return socket.writableLength === 0 || this.#bytesWait();
  }

  /** The kernel has not taken all. Whether more is welcome, nevertheless. */
  #bytesWait(): boolean {
    this.#watchSending();
    const { settings } = this.#host;
    // Node's own mark is lower.
    if (this.socket.writableLength <= settings.highWaterMark) return true;
    this.#slow().block();
    return this.#full();
  }

  #writeInPieces(data: Sendable, encoding: "utf8" | "latin1", onSent: (() => void) | undefined): boolean {
    const hasRoom = this.#slow().write(data, encoding, onSent);
    if (this.socket.writableLength > 0) this.#watchSending();
    return hasRoom || this.#full();
  }

  #full(): false {
    if (this.#host.settings.readStopsWhenBlocked) this.#holdFor(heldByPeer);
    return false;
  }

  #slow(): Outbound {
    this.#outbound ??= new Outbound(this.socket, this.#host.settings.highWaterMark);
    return this.#outbound;
  }

  #watchSending(): void {
    const { sendMs, minSendRate } = this.#host.settings;
    if (this.#sendDeadline !== undefined || sendMs === Number.POSITIVE_INFINITY) return;
    this.#sendDeadline = new SendDeadline(this, this.#host.wheel, sendMs, minSendRate);
  }

  sendSettled(): void {
    this.#sendDeadline?.stop();
    this.#sendDeadline = undefined;
    if ((this.#marks & lingerIsOver) !== 0) this.socket.destroy();
  }

  sendExpired(): void {
    this.#expire("send");
  }

  send(data: Sendable): Promise<void> {
    if (!this.#writable) return quietRejection(new TransportError("closed"));
    return this.write(data) ? sent : this.#slow().whenRoom();
  }

  /** The socket has given the kernel all it had. */
  drained(): void {
    if (this.#outbound?.drained() !== true || this.#phase !== OPEN) return;
    const protocol = this.#protocol!;
    if (protocol.drain !== undefined) {
      try {
        protocol.drain();
      } catch (error) {
        this.fail("drain", error);
        return;
      }
    }
    if (this.#outbound?.blocked !== true) this.#unhold(heldByPeer);
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  get #heldBytes(): number {
    return this.#outbound === undefined ? 0 : this.#outbound.heldBytes;
  }

  get bufferedAmount(): number {
    return this.socket.writableLength + this.#heldBytes;
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten + this.#heldBytes;
  }

  // ---- ending -----------------------------------------------------------------------------------------------

  get stopping(): AbortSignal {
    return this.#host.stopping;
  }

  get closed(): boolean {
    return this.#phase >= GONE || this.socket.destroyed;
  }

  end(): void {
    if (this.#phase < CLOSING) this.#endWriting();
  }

  /** Flushes and sends FIN; `flushed` hears of it. */
  #endWriting(): void {
    if ((this.#marks & endedWriting) !== 0) return;
    this.#marks |= endedWriting;
    this.socket.once("finish", onFinish);
    if (this.#outbound !== undefined) this.#outbound.end();
    else this.socket.end();
  }

  close(deadline?: string): void {
    if (this.#phase >= CLOSING) return;
    const { socket } = this;
    if (deadline !== undefined) this.#reason = { type: "deadline", deadline };
    this.#phase = CLOSING;
    this.#inbound = undefined;
    this.#endWriting();
    if (socket.writableFinished) process.nextTick(onFinish.bind(socket));
    this.#host.wheel.arm(this, this.#host.settings.lingerMs);
    if (!socket.readableEnded) socket.resume();
  }

  flushed(): void {
    this.drained();
    this.sendSettled();
    if (this.#phase !== CLOSING) return;
    // The conversation is over. The rest, until the peer hangs up, is the transport's business.
    if (this.#protocol !== undefined) this.#tellClosed();
  }

  /** The linger is over. Flushed: nothing is lost by leaving. Else the peer has until it stalls, and is not read. */
  #lingered(): void {
    const { socket } = this;
    if (socket.writableFinished) {
      socket.destroy();
      return;
    }
    this.#marks |= lingerIsOver;
    socket.pause();
    const { settings, wheel } = this.#host;
    this.#sendDeadline ??= new SendDeadline(this, wheel, settings.stallMs, settings.minSendRate);
    this.#sendDeadline.shorten(settings.stallMs);
  }

  destroy(error?: unknown): void {
    if (this.#phase >= GONE) return;
    if (error !== undefined) {
      this.fail("destroy", error);
      return;
    }
    this.#reason ??= this.#orderly();
    this.#destroySocket();
  }

  reset(deadline?: string): void {
    if (this.#phase >= GONE) return;
    this.#reason ??= deadline === undefined ? this.#orderly() : { type: "deadline", deadline };
    this.#resetSocket();
  }

  /** One of our own deadlines has passed. */
  #expire(deadline: string): void {
    this.#reason = { type: "deadline", deadline };
    this.#resetSocket();
  }

  /** The rest follows with the socket's "close". */
  #destroySocket(): void {
    if (this.#phase < CLOSING) this.#phase = CLOSING;
    this.socket.destroy();
  }

  /** Destroys the socket with RST: otherwise the kernel keeps, for minutes, what the peer does not take. */
  #resetSocket(): void {
    if (this.#phase < CLOSING) this.#phase = CLOSING;
    const { socket } = this;
    // Node cannot reset while a shutdown(2) is under way: it would neither reset nor close the socket.
    const isShutting = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
    // It resets TCP sockets only; the one below TLS takes TLS with it.
    if (isShutting || this.#host.address.type === "unix") socket.destroy();
    else (this.#raw ?? socket).resetAndDestroy();
  }

  #orderly(): CloseReason {
    return this.#host.stopLeftMs === undefined ? normal : shutdown;
  }

  drop(): void {
    this.destroy();
  }

  /** The stop deadline has passed. */
  kill(): void {
    this.#reason = killed;
    if (this.#phase >= GONE) this.#leave();
    else if (this.socket.writableFinished) this.#destroySocket();
    else this.#resetSocket();
  }

  /** The server is stopping. Whoever is still shaking hands has been promised nothing. */
  shutdown(deadlineMs: number): void {
    if (this.#phase < INITIALISING) this.destroy();
    if (this.#phase !== OPEN || (this.#marks & toldToStop) !== 0) return;
    this.#marks |= toldToStop;
    try {
      this.#protocol!.shutdown?.(deadlineMs);
    } catch (error) {
      this.fail("shutdown", error);
    }
  }

  /** User code failed: told once, and this connection is over. */
  fail(during: string, error: unknown): void {
    if (this.#reason?.type === "handler") return;
    const cause = error instanceof HandlerError ? error.cause : error;
    const isGone = this.#phase >= GONE || (this.#marks & peerLost) !== 0;
    // A handler that trips over the loss of its own connection has not failed.
    const lost = isGone && cause instanceof TransportError;
    if (!lost) this.report(error, during);
    if (this.#phase < GONE) {
      this.#reason = lost ? { type: "reset", code: cause.code } : { type: "handler", error: cause };
      this.#destroySocket();
    }
    this.#leaveInit();
  }

  report(error: unknown, during = "protocol"): void {
    this.#host.report(error instanceof HandlerError ? error : new HandlerError(during, error), this);
  }

  failedSocket(error: unknown): void {
    // A peer may answer our FIN with a reset: it has all we had to say.
    if (this.#phase === CLOSING && this.socket.writableFinished) return;
    this.#reason ??= { type: "reset", code: toSocketReason(error) };
  }

  finished(): void {
    const phase = this.#phase;
    if (phase >= GONE) return;
    this.#phase = GONE;
    this.#host.wheel.remove(this);
    this.sendSettled();
    this.#inbound = undefined;
    this.#outbound?.abandon();
    this.#reason = this.#endReason(phase);
    this.#leaveInit();
    if (this.#protocol !== undefined) this.#tellClosed();
    else this.#leave();
  }

  #endReason(phase: number): CloseReason {
    const reason = this.#reason;
    // However the peer broke off its handshake, that is what failed.
    if (phase === HANDSHAKING && (reason === undefined || reason.type === "reset")) {
      return { type: "handshake", error: new TransportError(reason?.code ?? "closed") };
    }
    return reason ?? this.#orderly();
  }

  /** Tells the protocol `closed`, once, and leaves when it has settled and the socket is gone. */
  #tellClosed(): void {
    if ((this.#marks & (tellingClosed | toldClosed)) === 0) this.#callClosed();
    // Past the stop deadline nobody waits.
    if (this.#phase >= GONE && ((this.#marks & toldClosed) !== 0 || this.#reason === killed)) this.#leave();
  }

  #callClosed(): void {
    this.#reason ??= this.#orderly();
    this.#marks |= tellingClosed;
    const settled = (): void => {
      this.#marks |= toldClosed;
      if (this.#phase >= GONE) this.#leave();
    };
    const told = callUser(
      () => this.#protocol!.closed?.(this.#reason!),
      undefined,
      (error) => this.report(error, "close"),
    );
    if (told === undefined) this.#marks |= toldClosed;
    else void told.then(settled);
  }

  #leave(): void {
    if (this.#phase === LEFT) return;
    this.#phase = LEFT;
    this.#host.gone(this, this.#reason!);
  }

  // ---- deadlines --------------------------------------------------------------------------------------------

  setDeadline(ms: number): void {
    // While an asynchronous `init` is pending the slot is its own; one that answers at once may set it already.
    if (this.#phase !== OPEN && (this.#phase !== INITIALISING || this.#initialised !== undefined)) return;
    if (ms <= 0) this.#host.wheel.disarm(this);
    else this.#host.wheel.arm(this, ms);
  }

  due(): void {
    if (this.#phase === OPEN) {
      try {
        this.#protocol!.deadline?.();
      } catch (error) {
        this.fail("deadline", error);
      }
    } else if (this.#phase === CLOSING) this.#lingered();
    else if (this.#phase === HANDSHAKING) this.#expire("handshake");
    else if (this.#phase === INITIALISING) this.#initExpired();
  }

  /** An `init` that is late has failed, and says so to the error handler. */
  #initExpired(): void {
    this.report(new DeadlineError("init", this.#host.settings.initTimeoutMs), "init");
    this.#expire("init");
    this.#leaveInit();
  }

  // ---- who is there -----------------------------------------------------------------------------------------

  get subject(): Subject<never> {
    const subject = this.#protocol?.subject;
    if (subject !== undefined) return subject as unknown as Subject<never>;
    throw new UsageError("connection.subject exists only with glisten.new(init, loop)");
  }

  get transport(): "tcp" | "tls" | "unix" {
    return this.#raw === undefined ? this.#host.address.type : "tls";
  }

  get state(): ConnectionState {
    return stateOf(this.#phase);
  }

  get kind(): string {
    return this.#protocol?.kind ?? "connection";
  }

  info(): ConnectionInfo {
    try {
      this.#info ??= connectionInfo(this.socket, this.#client);
    } catch (error) {
      if (this.#host.address.type === "tcp") this.#marks |= peerLost;
      throw error;
    }
    return this.#info;
  }

  get #tls(): TLSSocket | undefined {
    return this.#raw === undefined ? undefined : (this.socket as TLSSocket);
  }

  get alpnProtocol(): string | false {
    return this.#tls?.alpnProtocol || false;
  }

  get serverName(): string | undefined {
    return this.#tls?.servername || undefined;
  }

  peerCertificate(): PeerCertificate | undefined {
    const tls = this.#tls;
    return tls?.authorized ? tls.getPeerCertificate(true) : undefined;
  }
}
