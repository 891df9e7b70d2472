// Reading: what the socket brings goes to the protocol, at once or in its turn; and whether the socket is read at all.

import { weigh } from "../../performance/heap-weight.ts";
import type { ConnectionRecord } from "./connection-record.ts";
import { Inbound } from "./inbound.ts";
import { OPEN } from "./phase.ts";

// Why the socket is not read, as bits of `holds`.
export const heldByReadAhead = 1;
export const heldByUser = 2;
export const heldByPeer = 4;

/** Takes a chunk from the socket. While the connection closes it is discarded. */
export function receive(connection: ConnectionRecord, chunk: Buffer): void {
  weigh(chunk);
  if (connection.phase === OPEN && connection.inbound?.keep(chunk) !== true) deliver(connection, chunk);
}

/** Hands a chunk to the protocol. */
export function deliver(connection: ConnectionRecord, chunk: Buffer): void {
  let pending: void | Promise<void>;
  try {
    pending = connection.protocol!.data(chunk);
  } catch (error) {
    connection.fail("data", error);
    return;
  }
  if (pending === undefined) return;
  connection.inbound ??= new Inbound(connection, connection.host.settings);
  connection.inbound.wait(pending);
}

/** Hands the peer's FIN to the protocol, behind the chunks that wait. */
export function receiveEnd(connection: ConnectionRecord): void {
  if (connection.phase !== OPEN || connection.inbound?.keepEnd() === true) return;
  const protocol = connection.protocol!;
  if (protocol.end === undefined) {
    connection.close();
    return;
  }
  try {
    protocol.end();
  } catch (error) {
    connection.fail("end", error);
  }
}

/** Whether chunks that wait may be handed to the protocol. */
export function takesChunks({ phase, holds }: ConnectionRecord): boolean {
  return phase === OPEN && (holds & ~heldByReadAhead) === 0;
}

/** Leaves the socket unread, for one more reason. */
export function hold(connection: ConnectionRecord, why: number): void {
  if (connection.holds === 0 && connection.phase === OPEN) connection.socket.pause();
  connection.holds |= why;
}

/** Takes one reason back; the socket is read again once none is left. */
export function release(connection: ConnectionRecord, why: number): void {
  if (connection.holds === 0) return;
  connection.holds &= ~why;
  if (connection.holds === 0 && connection.phase === OPEN) connection.socket.resume();
}

/** As {@link release}; and hands over what was read in the meantime, before anything newer. */
export function releaseAndDeliver(connection: ConnectionRecord, why: number): void {
  release(connection, why);
  if (connection.phase === OPEN) connection.inbound?.resume();
}
