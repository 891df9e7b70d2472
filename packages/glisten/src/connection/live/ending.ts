// Ending: in order, by force or by failure; the reason; and that the protocol hears `closed` exactly once.

import { callUser } from "../../actor/user-code.ts";
import { HandlerError, TransportError, toSocketReason } from "../../errors.ts";
import type { CloseReason } from "../protocol.ts";
import {
  type ConnectionRecord,
  endedWriting,
  peerLost,
  tellingClosed,
  toldClosed,
} from "./connection-record.ts";
import { CLOSING, GONE, HANDSHAKING, LEFT } from "./phase.ts";
import { onFinish } from "./socket-listeners.ts";

const normal: CloseReason = Object.freeze({ type: "normal" });
const shutdown: CloseReason = Object.freeze({ type: "shutdown" });
const killed: CloseReason = Object.freeze({ type: "killed" });

function orderly({ host }: ConnectionRecord): CloseReason {
  return host.stopLeftMs === undefined ? normal : shutdown;
}

/** Flushes and sends FIN; {@link flushed} hears of it. */
export function endWriting(connection: ConnectionRecord): void {
  if ((connection.marks & endedWriting) !== 0) return;
  connection.marks |= endedWriting;
  connection.socket.once("finish", onFinish);
  if (connection.outbound !== undefined) connection.outbound.end();
  else connection.socket.end();
}

/** See `Connection.close`. */
export function close(connection: ConnectionRecord, deadline: string | undefined): void {
  if (connection.phase >= CLOSING) return;
  const { socket, host } = connection;
  if (deadline !== undefined) connection.reason = { type: "deadline", deadline };
  connection.phase = CLOSING;
  connection.inbound = undefined;
  endWriting(connection);
  if (socket.writableFinished) process.nextTick(onFinish.bind(socket));
  host.wheel.arm(connection, host.settings.lingerMs);
  if (!socket.readableEnded) socket.resume();
}

/** The kernel has all that was written, and our FIN. */
export function flushed(connection: ConnectionRecord): void {
  connection.drained();
  connection.sendSettled();
  // The conversation is over. The rest, until the peer hangs up, is the transport's business.
  if (connection.phase === CLOSING && connection.protocol !== undefined) tellClosed(connection);
}

/** See `Connection.destroy`. */
export function destroy(connection: ConnectionRecord, error: unknown): void {
  if (connection.phase >= GONE) return;
  if (error !== undefined) {
    fail(connection, "destroy", error);
    return;
  }
  connection.reason ??= orderly(connection);
  destroySocket(connection);
}

/** See `Connection.reset`. */
export function reset(connection: ConnectionRecord, deadline: string | undefined): void {
  if (connection.phase >= GONE) return;
  connection.reason ??= deadline === undefined ? orderly(connection) : { type: "deadline", deadline };
  resetSocket(connection);
}

/** One of glisten's own deadlines has passed. */
export function expire(connection: ConnectionRecord, deadline: string): void {
  connection.reason = { type: "deadline", deadline };
  resetSocket(connection);
}

/** The stop deadline has passed. */
export function kill(connection: ConnectionRecord): void {
  connection.reason = killed;
  if (connection.phase >= GONE) leave(connection);
  else if (connection.socket.writableFinished) destroySocket(connection);
  else resetSocket(connection);
}

/** Destroys the socket; the rest follows with its "close". */
export function destroySocket(connection: ConnectionRecord): void {
  if (connection.phase < CLOSING) connection.phase = CLOSING;
  connection.socket.destroy();
}

/** Destroys the socket with RST: otherwise the kernel keeps, for minutes, what the peer does not take. */
function resetSocket(connection: ConnectionRecord): void {
  if (connection.phase < CLOSING) connection.phase = CLOSING;
  const { socket, raw } = connection;
  // Node cannot reset while a shutdown(2) is under way: it would neither reset nor close the socket.
  const isShutting = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  // It cannot reset unix sockets; the one below TLS takes TLS with it.
  if (isShutting || connection.carrier === "unix") socket.destroy();
  else (raw ?? socket).resetAndDestroy();
}

/** User code failed: reported once, and the connection is over. */
export function fail(connection: ConnectionRecord, during: string, error: unknown): void {
  if (connection.reason?.type === "handler") return;
  const cause = error instanceof HandlerError ? error.cause : error;
  const isGone = connection.phase >= GONE || (connection.marks & peerLost) !== 0;
  // Failing because the connection is lost is not a handler failure.
  const lost = isGone && cause instanceof TransportError;
  if (!lost) connection.report(error, during);
  if (connection.phase < GONE) {
    connection.reason = lost ? { type: "reset", code: cause.code } : { type: "handler", error: cause };
    destroySocket(connection);
  }
  connection.leaveInit();
}

/** The socket broke; its "close" follows. */
export function failedSocket(connection: ConnectionRecord, error: unknown): void {
  // A peer that has received everything may answer our FIN with a reset.
  if (connection.phase === CLOSING && connection.socket.writableFinished) return;
  connection.reason ??= { type: "reset", code: toSocketReason(error) };
}

/** The socket is closed. */
export function finished(connection: ConnectionRecord): void {
  const { phase } = connection;
  if (phase >= GONE) return;
  connection.phase = GONE;
  connection.host.wheel.remove(connection);
  connection.sendSettled();
  connection.inbound = undefined;
  connection.outbound?.abandon();
  connection.reason = endReason(connection, phase);
  connection.leaveInit();
  if (connection.protocol !== undefined) tellClosed(connection);
  else leave(connection);
}

function endReason(connection: ConnectionRecord, phase: number): CloseReason {
  const { reason } = connection;
  // However the peer broke off its handshake, that is what failed.
  if (phase === HANDSHAKING && (reason === undefined || reason.type === "reset")) {
    return { type: "handshake", error: new TransportError(reason?.code ?? "closed") };
  }
  return reason ?? orderly(connection);
}

/** Tells the protocol `closed`, once, and leaves when it has settled and the socket is gone. */
function tellClosed(connection: ConnectionRecord): void {
  if ((connection.marks & (tellingClosed | toldClosed)) === 0) callClosed(connection);
  // Past the stop deadline `closed` is not waited for.
  const isTold = (connection.marks & toldClosed) !== 0 || connection.reason === killed;
  if (connection.phase >= GONE && isTold) leave(connection);
}

function callClosed(connection: ConnectionRecord): void {
  connection.reason ??= orderly(connection);
  connection.marks |= tellingClosed;
  const { reason } = connection;
  const told = callUser(
    (protocol) => protocol.closed?.(reason),
    connection.protocol!,
    (error) => connection.report(error, "close"),
  );
  if (told === undefined) {
    connection.marks |= toldClosed;
    return;
  }
  void told.then(() => {
    connection.marks |= toldClosed;
    if (connection.phase >= GONE) leave(connection);
  });
}

function leave(connection: ConnectionRecord): void {
  if (connection.phase === LEFT) return;
  connection.phase = LEFT;
  connection.host.gone(connection, connection.reason!);
}
