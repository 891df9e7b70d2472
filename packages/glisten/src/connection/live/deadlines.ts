// Deadlines: one slot on the server's wheel for handshake, `init`, the protocol and the linger, one after the other;
// and the deadline of a peer that does not take what is written to it (`send-deadline.ts`).

import { DeadlineError } from "../../errors.ts";
import { type ConnectionRecord, lingerIsOver } from "./connection-record.ts";
import { expire } from "./ending.ts";
import { CLOSING, HANDSHAKING, INITIALISING, OPEN } from "./phase.ts";
import { SendDeadline } from "./send-deadline.ts";

/** See `Connection.setDeadline`. */
export function setDeadline(connection: ConnectionRecord, ms: number): void {
  const { phase, initialised, host } = connection;
  // While an asynchronous `init` is pending the slot is its own; one that answers at once may set it already.
  if (phase !== OPEN && (phase !== INITIALISING || initialised !== undefined)) return;
  if (ms <= 0) host.wheel.disarm(connection);
  else host.wheel.arm(connection, ms);
}

/** The instant has passed that the slot was armed for. */
export function due(connection: ConnectionRecord): void {
  const { phase } = connection;
  if (phase === OPEN) {
    try {
      connection.protocol!.deadline?.();
    } catch (error) {
      connection.fail("deadline", error);
    }
  } else if (phase === CLOSING) lingered(connection);
  else if (phase === HANDSHAKING) expire(connection, "handshake");
  else if (phase === INITIALISING) initExpired(connection);
}

/** An `init` that is late has failed, and the error handler hears of it. */
function initExpired(connection: ConnectionRecord): void {
  const { host } = connection;
  connection.report(new DeadlineError("init", host.settings.initTimeoutMs), "init");
  expire(connection, "init");
  connection.leaveInit();
}

/** The linger is over. Flushed: nothing is lost by leaving. Else the peer has until it stalls, and is not read. */
function lingered(connection: ConnectionRecord): void {
  const { socket, host } = connection;
  if (socket.writableFinished) {
    socket.destroy();
    return;
  }
  connection.marks |= lingerIsOver;
  socket.pause();
  const { stallMs, minSendRate } = host.settings;
  connection.sendDeadline ??= new SendDeadline(connection, host.wheel, stallMs, minSendRate);
  connection.sendDeadline.shorten(stallMs);
}

/** Bytes wait for the peer: from now on it has a deadline. */
export function watchSending(connection: ConnectionRecord): void {
  const { wheel, settings } = connection.host;
  const { sendMs, minSendRate } = settings;
  if (connection.sendDeadline !== undefined || sendMs === Number.POSITIVE_INFINITY) return;
  connection.sendDeadline = new SendDeadline(connection, wheel, sendMs, minSendRate);
}

/** No bytes wait for the peer any more. */
export function sendSettled(connection: ConnectionRecord): void {
  connection.sendDeadline?.stop();
  connection.sendDeadline = undefined;
  if ((connection.marks & lingerIsOver) !== 0) connection.socket.destroy();
}
