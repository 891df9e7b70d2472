/**
 * A connection while it lives: one socket, one protocol, from the handshake to the last word.
 *
 * Owns the phases, the closing dance, and the promise that the protocol hears `closed` exactly once; `inbound.ts` and
 * `outbound.ts` are its two directions, `identity.ts` tells who is there. The listener functions are shared by all sockets and find their connection
 * by a symbol, so that an idle connection holds no closure of its own.
 */

import type { Socket } from "node:net";
import type { LightChild } from "../actor/index.ts";
import { callUser } from "../actor/user-code.ts";
import { DeadlineError, HandlerError, TransportError, toSocketReason } from "../errors.ts";
import type { Arrival } from "../server/arrivals.ts";
import type { Connection } from "./connection.ts";
import {
  CLOSING,
  type ConnectionHost,
  GONE,
  HANDSHAKING,
  INITIALISING,
  LEFT,
  OPEN,
  WAITING,
} from "./connection-host.ts";
import type { Candidate, Handshaken } from "./handshake.ts";
import { Identified } from "./identity.ts";
import type { CloseReason, Protocol } from "./protocol.ts";
import { abandon, adopt, attend, onStall } from "./socket-listeners.ts";

const NORMAL: CloseReason = Object.freeze({ type: "normal" });
const SHUTDOWN: CloseReason = Object.freeze({ type: "shutdown" });
const KILLED: CloseReason = Object.freeze({ type: "killed" });

/** A connection, whole. */
export class LiveConnection extends Identified implements Connection<never>, Arrival, Candidate, LightChild {
  readonly id: number;
  /** The supervisor's: see `Roster`. */
  place = -1;
  private toldToStop = false;
  private reason: CloseReason | undefined = undefined;
  private initialised: (() => void) | undefined = undefined;

  constructor(host: ConnectionHost, id: number, socket: Socket) {
    super(host, socket);
    this.id = id;
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
    let opening: void | Promise<void>;
    try {
      this.protocol = this.host.settings.create(this);
      opening = this.protocol.open?.();
    } catch (error) {
      this.fail("init", error);
      return true;
    }
    if (opening === undefined) {
      this.opened();
      return true;
    }
    if ((this.phase as number) >= CLOSING) return true;
    this.initialised = done;
    this.host.wheel.arm(this, this.host.settings.initTimeoutMs);
    Promise.resolve(opening).then(
      () => this.opened(),
      (error: unknown) => this.fail("init", error),
    );
    return false;
  }

  private opened(): void {
    const { phase, socket } = this;
    if (phase === INITIALISING) {
      this.phase = OPEN;
      attend(socket);
      if (this.hold === 0) socket.resume();
      this.host.opened(this);
    }
    this.leaveInit();
    const { stopLeftMs } = this.host;
    if (phase === INITIALISING && stopLeftMs !== undefined) this.shutdown(stopLeftMs);
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

  // ---- ending -----------------------------------------------------------------------------------------------

  get stopping(): AbortSignal {
    return this.host.stopping;
  }

  get closed(): boolean {
    return this.phase >= GONE || this.socket.destroyed;
  }

  end(): void {
    if (this.phase >= CLOSING || !this.socket.writable) return;
    this.finishThenTell();
    this.socket.end();
  }

  close(): void {
    if (this.phase >= CLOSING) return;
    this.phase = CLOSING;
    this.forgetInbound();
    const { socket } = this;
    if (socket.writable) {
      this.finishThenTell();
      socket.end();
    }
    this.host.wheel.arm(this, this.host.settings.lingerMs);
    if (!socket.readableEnded) socket.resume();
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
    if (this.phase >= GONE) return;
    if (error !== undefined) {
      this.fail("destroy", error);
      return;
    }
    this.reason ??= this.orderly();
    this.cut();
  }

  reset(): void {
    if (this.phase >= GONE) return;
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
    return this.host.stopLeftMs === undefined ? NORMAL : SHUTDOWN;
  }

  /** Never opened, and it will not be. */
  drop(): void {
    this.destroy();
  }

  /** The stop deadline has passed. */
  kill(): void {
    this.reason = KILLED;
    if (this.phase >= GONE) this.leave(KILLED);
    else this.cut();
  }

  /** The server is stopping. Whoever is still shaking hands has been promised nothing. */
  shutdown(deadlineMs: number): void {
    if (this.phase < INITIALISING) this.destroy();
    if (this.phase !== OPEN || this.toldToStop) return;
    this.toldToStop = true;
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
    const lost = this.phase >= GONE && error instanceof TransportError;
    if (!lost) this.report(error, during);
    if (this.phase >= GONE) {
      this.leaveInit();
      return;
    }
    this.reason = { type: "handler", error: error instanceof HandlerError ? error.cause : error };
    this.cut();
    this.leaveInit();
  }

  report(error: unknown, during = "protocol"): void {
    this.host.report(error instanceof HandlerError ? error : new HandlerError(during, error), this);
  }

  failedSocket(error: unknown): void {
    // A peer may answer our FIN with a reset: it has all we had to say.
    if (this.phase === CLOSING && this.socket.writableFinished) return;
    this.reason ??= { type: "reset", code: toSocketReason(error) };
  }

  finished(): void {
    const { phase } = this;
    if (phase >= GONE) return;
    this.phase = GONE;
    this.host.wheel.remove(this);
    this.forgetInbound();
    const reason = this.endReason(phase);
    this.reason = reason;
    this.abandonWrites();
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
    const told = callUser(
      () => protocol.closed?.(reason),
      undefined,
      (error) => this.report(error, "close"),
    );
    // Past the stop deadline nobody waits.
    if (told === undefined || reason.type === "killed") this.leave(reason);
    else void told.then(() => this.leave(reason));
  }

  private leave(reason: CloseReason): void {
    if (this.phase === LEFT) return;
    this.phase = LEFT;
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
    }
  }
}
