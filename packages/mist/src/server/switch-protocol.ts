// A connection goes over to another protocol (RFC 9110 §7.8): nothing that came behind the request head is lost.

import type { Buffer } from "node:buffer";
import type { Connection, Protocol } from "@x/glisten";

/** What had happened on the connection when it was switched. */
export interface SwitchState {
  /** Bytes that came behind the head: they belong to the new protocol. */
  readonly leftover: Buffer;
  /** The peer has already half-closed. */
  readonly ended: boolean;
  /** Milliseconds until the stop deadline; negative if the server is not stopping. */
  readonly shutdownDeadlineMs: number;
}

/** Makes `next` the connection's protocol and tells it what it missed. */
export function switchProtocol(connection: Connection, next: Protocol, state: SwitchState): void {
  // From here on nothing of HTTP is left on this connection, and nothing of it is kept in memory.
  connection.become(next);
  if (state.shutdownDeadlineMs >= 0) next.shutdown?.(state.shutdownDeadlineMs);
  if (state.leftover.length > 0) hand(connection, next, state.leftover);
  if (!state.ended) return;
  if (next.end === undefined) connection.close();
  else next.end();
}

function hand(connection: Connection, next: Protocol, leftover: Buffer): void {
  const busy = next.data(leftover);
  if (busy === undefined) return;
  connection.pause();
  busy.then(
    () => connection.resume(),
    (error) => connection.destroy(error),
  );
}
