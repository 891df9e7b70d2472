// A connection while it lives: one socket, one protocol, from the handshake to `closed`.
//
// The object holds the state and implements every interface; the work is done by the files beside it. Its collaborators
// exist only while they are needed, so an idle connection has none of them: an `Inbound` while the protocol's promise
// is open, an `Outbound` once the peer takes less than it is given, a `SendDeadline` while bytes wait for the peer. The
// socket's listeners are shared by all connections.

import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import type { LightChild } from "../../actor/index.ts";
import type { Subject } from "../../actor/subject.ts";
import { HandlerError, UsageError } from "../../errors.ts";
import type { Timed } from "../../server/timer-wheel.ts";
import { isMemory } from "../../transport/memory-socket.ts";
import type { Sendable } from "../../transport/sendable.ts";
import type { ConnectionInfo, Endpoint } from "../connection.ts";
import type { Carrier, ConnectionHost } from "../connection-host.ts";
import type { Candidate, Handshaken } from "../handshake.ts";
import { connectionInfo } from "../peer-address.ts";
import type { CloseReason, Protocol } from "../protocol.ts";
import { type ConnectionRecord, peerLost, toldToStop } from "./connection-record.ts";
import * as deadlines from "./deadlines.ts";
import * as ending from "./ending.ts";
import type { Inbound } from "./inbound.ts";
import * as opening from "./opening.ts";
import type { Outbound } from "./outbound.ts";
import { CLOSING, type ConnectionState, GONE, INITIALISING, OPEN, stateOf, WAITING } from "./phase.ts";
import * as reading from "./reading.ts";
import type { SendDeadline } from "./send-deadline.ts";
import { adopt, type SocketOwner } from "./socket-listeners.ts";
import * as writing from "./writing.ts";

/** One connection. */
export class LiveConnection implements ConnectionRecord, Candidate, LightChild, SocketOwner {
  readonly id: number;
  readonly host: ConnectionHost;
  socket: Socket;
  /** The supervisor's: see `Roster`. */
  place = -1;
  // The wheel's.
  dueTurn = 0;
  slotTurn = 0;
  next: Timed | undefined = undefined;
  previous: Timed | undefined = undefined;
  phase: number = WAITING;
  holds = 0;
  marks = 0;
  protocol: Protocol | undefined = undefined;
  inbound: Inbound | undefined = undefined;
  outbound: Outbound | undefined = undefined;
  sendDeadline: SendDeadline | undefined = undefined;
  raw: Socket | undefined = undefined;
  client: Endpoint | undefined = undefined;
  reason: CloseReason | undefined = undefined;
  initialised: (() => void) | undefined = undefined;
  #info: ConnectionInfo | undefined = undefined;

  constructor(host: ConnectionHost, id: number, socket: Socket) {
    this.host = host;
    this.id = id;
    this.socket = socket;
    adopt(socket, this);
  }

  // ---- what the server and its supervisor ask for -------------------------------------------------------------

  prepare(): void {
    opening.prepare(this);
  }

  open(done: () => void): boolean {
    return opening.open(this, done);
  }

  drop(): void {
    this.destroy();
  }

  shutdown(deadlineMs: number): void {
    // A client that is still in the handshake has been promised nothing.
    if (this.phase < INITIALISING) this.destroy();
    if (this.phase !== OPEN || (this.marks & toldToStop) !== 0) return;
    this.marks |= toldToStop;
    try {
      this.protocol!.shutdown?.(deadlineMs);
    } catch (error) {
      this.fail("shutdown", error);
    }
  }

  kill(): void {
    ending.kill(this);
  }

  get state(): ConnectionState {
    return stateOf(this.phase);
  }

  get kind(): string {
    return this.protocol?.kind ?? "connection";
  }

  // ---- what the handshake tells -------------------------------------------------------------------------------

  handshaken(result: Handshaken): void {
    opening.handshaken(this, result);
  }

  refuse(error: unknown): void {
    opening.refuse(this, error);
  }

  // ---- what the socket tells ----------------------------------------------------------------------------------

  receive(chunk: Buffer): void {
    reading.receive(this, chunk);
  }

  receiveEnd(): void {
    reading.receiveEnd(this);
  }

  drained(): void {
    writing.drained(this);
  }

  flushed(): void {
    ending.flushed(this);
  }

  failedSocket(error: unknown): void {
    ending.failedSocket(this, error);
  }

  finished(): void {
    ending.finished(this);
  }

  // ---- what the collaborators ask for -------------------------------------------------------------------------

  get takesChunks(): boolean {
    return reading.takesChunks(this);
  }

  deliver(chunk: Buffer): void {
    reading.deliver(this, chunk);
  }

  readAheadFull(): void {
    reading.hold(this, reading.heldByReadAhead);
  }

  caughtUp(): void {
    reading.release(this, reading.heldByReadAhead);
  }

  sendSettled(): void {
    deadlines.sendSettled(this);
  }

  sendExpired(): void {
    ending.expire(this, "send");
  }

  due(): void {
    deadlines.due(this);
  }

  fail(during: string, error: unknown): void {
    ending.fail(this, during, error);
  }

  leaveInit(): void {
    opening.leaveInit(this);
  }

  // ---- what the protocol, and the user, ask for ---------------------------------------------------------------

  pause(): void {
    reading.hold(this, reading.heldByUser);
  }

  resume(): void {
    reading.releaseAndDeliver(this, reading.heldByUser);
  }

  send(data: Sendable): Promise<void> {
    return writing.send(this, data);
  }

  write(data: Sendable, encoding: "utf8" | "latin1" = "utf8", onSent?: () => void): boolean {
    return writing.write(this, data, encoding, onSent);
  }

  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
  }

  end(): void {
    if (this.phase < CLOSING) ending.endWriting(this);
  }

  close(deadline?: string): void {
    ending.close(this, deadline);
  }

  destroy(error?: unknown): void {
    ending.destroy(this, error);
  }

  reset(deadline?: string): void {
    ending.reset(this, deadline);
  }

  report(error: unknown, during = "protocol"): void {
    this.host.report(error instanceof HandlerError ? error : new HandlerError(during, error), this);
  }

  setDeadline(ms: number): void {
    deadlines.setDeadline(this, ms);
  }

  become(protocol: Protocol): void {
    this.protocol = protocol;
  }

  get bufferedAmount(): number {
    return this.socket.writableLength + writing.heldBytes(this);
  }

  get bytesRead(): number {
    return this.socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten + writing.heldBytes(this);
  }

  get closed(): boolean {
    return this.phase >= GONE || this.socket.destroyed;
  }

  get stopping(): AbortSignal {
    return this.host.stopping;
  }

  get subject(): Subject<never> {
    const subject = this.protocol?.subject;
    if (subject !== undefined) return subject as unknown as Subject<never>;
    throw new UsageError("connection.subject exists only with glisten.new(init, loop)");
  }

  /** Every server can be connected to in memory, whatever it listens on. */
  get carrier(): Carrier {
    return isMemory(this.raw ?? this.socket) ? "memory" : this.host.address.type;
  }

  get transport(): Carrier | "tls" {
    return this.raw === undefined ? this.carrier : "tls";
  }

  info(): ConnectionInfo {
    try {
      // TLS over memory does not know the addresses below it.
      this.#info ??= connectionInfo(this.raw ?? this.socket, this.client);
    } catch (error) {
      if (this.carrier === "tcp") this.marks |= peerLost;
      throw error;
    }
    return this.#info;
  }

  get #tls(): TLSSocket | undefined {
    return this.raw === undefined ? undefined : (this.socket as TLSSocket);
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
