// Opening: from an accepted socket through the handshake and `init` to an open connection.

import type { Candidate, Handshaken } from "../handshake.ts";
import type { ConnectionRecord } from "./connection-record.ts";
import { destroySocket } from "./ending.ts";
import { CLOSING, HANDSHAKING, INITIALISING, OPEN, WAITING } from "./phase.ts";
import { abandon, adopt, attend, type SocketOwner } from "./socket-listeners.ts";

/** Goes through the handshake, if there is one, and then reports to its server as ready. */
export function prepare(connection: ConnectionRecord & Candidate): void {
  const { host, socket } = connection;
  const { handshake, handshakeTimeoutMs } = host.settings;
  if (handshake === undefined) {
    host.ready(connection);
    return;
  }
  connection.phase = HANDSHAKING;
  host.wheel.arm(connection, handshakeTimeoutMs);
  handshake(socket, connection);
}

/** The handshake is done: an acceptor may open the connection. */
export function handshaken(connection: ConnectionRecord & SocketOwner, { client, tls }: Handshaken): void {
  if (connection.phase !== HANDSHAKING) return;
  connection.client = client;
  if (tls !== undefined) {
    abandon(connection.socket);
    connection.raw = connection.socket;
    connection.socket = tls;
    adopt(tls, connection);
  }
  connection.phase = WAITING;
  connection.host.wheel.disarm(connection);
  connection.host.ready(connection);
}

/** The handshake has failed. */
export function refuse(connection: ConnectionRecord, error: unknown): void {
  if (connection.phase !== HANDSHAKING) return;
  connection.reason = { type: "handshake", error };
  destroySocket(connection);
}

/** Makes the protocol and has it open; see `HostedConnection.open`. */
export function open(connection: ConnectionRecord, done: () => void): boolean {
  if (connection.phase !== WAITING) return true;
  const { settings, wheel } = connection.host;
  connection.phase = INITIALISING;
  let opening: void | Promise<void>;
  try {
    connection.protocol = settings.create(connection);
    opening = connection.protocol.open?.();
  } catch (error) {
    connection.fail("init", error);
    return true;
  }
  if (opening === undefined) {
    opened(connection);
    return true;
  }
  if (connection.phase >= CLOSING) return true;
  connection.initialised = done;
  wheel.arm(connection, settings.initTimeoutMs);
  Promise.resolve(opening).then(
    () => opened(connection),
    (error: unknown) => connection.fail("init", error),
  );
  return false;
}

function opened(connection: ConnectionRecord): void {
  const { phase, host, socket } = connection;
  if (phase === INITIALISING) {
    connection.phase = OPEN;
    attend(socket);
    if (connection.holds === 0) socket.resume();
    host.opened(connection);
  }
  leaveInit(connection);
  const { stopLeftMs } = host;
  if (phase === INITIALISING && stopLeftMs !== undefined) connection.shutdown(stopLeftMs);
}

/** `init` is over, whatever came of it: frees the acceptor that waits. */
export function leaveInit(connection: ConnectionRecord): void {
  const done = connection.initialised;
  if (done === undefined) return;
  connection.initialised = undefined;
  // Unless `init` itself has set a deadline or closed, the one that is armed is that of `init`.
  if (connection.phase === OPEN) connection.host.wheel.disarm(connection);
  done();
}
