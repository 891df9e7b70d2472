// Writing: to the socket while it keeps up, through an `Outbound` when the peer takes less than it is given.

import { TransportError } from "../../errors.ts";
import { quietRejection } from "../../flow.ts";
import { type Sendable, writeParts } from "../../transport/sendable.ts";
import { type ConnectionRecord, endedWriting } from "./connection-record.ts";
import { watchSending } from "./deadlines.ts";
import { lengthOf, Outbound, pieceBytes } from "./outbound.ts";
import { CLOSING, OPEN } from "./phase.ts";
import { heldByPeer, hold, releaseAndDeliver } from "./reading.ts";

const sent: Promise<void> = Promise.resolve();

function isWritable({ phase, marks, socket }: ConnectionRecord): boolean {
  return phase < CLOSING && (marks & endedWriting) === 0 && socket.writable;
}

/** See `Connection.write`. */
export function write(
  connection: ConnectionRecord,
  data: Sendable,
  encoding: "utf8" | "latin1",
  onSent: (() => void) | undefined,
): boolean {
  if (!isWritable(connection)) return false;
  const { socket } = connection;
  if (lengthOf(data) > pieceBytes || heldBytes(connection) > 0) {
    return writeInPieces(connection, data, encoding, onSent);
  }
  if (typeof data === "string" || data instanceof Uint8Array) {
    socket.write(data as string, encoding, onSent);
  } else {
    writeParts(socket, data, encoding, onSent);
  }
  return socket.writableLength === 0 || bytesWait(connection);
}

/** The kernel has not taken all. Whether more is welcome, nevertheless. */
function bytesWait(connection: ConnectionRecord): boolean {
  watchSending(connection);
  // Node's own mark is lower.
  if (connection.socket.writableLength <= connection.host.settings.highWaterMark) return true;
  outboundOf(connection).block();
  return full(connection);
}

function writeInPieces(
  connection: ConnectionRecord,
  data: Sendable,
  encoding: "utf8" | "latin1",
  onSent: (() => void) | undefined,
): boolean {
  const hasRoom = outboundOf(connection).write(data, encoding, onSent);
  if (connection.socket.writableLength > 0) watchSending(connection);
  return hasRoom || full(connection);
}

function full(connection: ConnectionRecord): false {
  if (connection.host.settings.readStopsWhenBlocked) hold(connection, heldByPeer);
  return false;
}

function outboundOf(connection: ConnectionRecord): Outbound {
  connection.outbound ??= new Outbound(connection.socket, connection.host.settings.highWaterMark);
  return connection.outbound;
}

/** See `Connection.send`. */
export function send(connection: ConnectionRecord, data: Sendable): Promise<void> {
  if (!isWritable(connection)) return quietRejection(new TransportError("closed"));
  return write(connection, data, "utf8", undefined) ? sent : outboundOf(connection).whenRoom();
}

/** The socket has given the kernel all it had. */
export function drained(connection: ConnectionRecord): void {
  if (connection.outbound?.drained() !== true || connection.phase !== OPEN) return;
  const protocol = connection.protocol!;
  if (protocol.drain !== undefined) {
    try {
      protocol.drain();
    } catch (error) {
      connection.fail("drain", error);
      return;
    }
  }
  if (!connection.outbound.blocked) releaseAndDeliver(connection, heldByPeer);
}

/** Bytes that the socket does not have yet. */
export function heldBytes({ outbound }: ConnectionRecord): number {
  return outbound === undefined ? 0 : outbound.heldBytes;
}
