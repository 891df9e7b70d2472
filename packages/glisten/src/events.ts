// What happens to connections, told on `node:diagnostics_channel`. Without subscribers an event costs one property
// read.

import { channel } from "node:diagnostics_channel";
import type { Connection } from "./connection/connection.ts";
import type { CloseReason } from "./connection/protocol.ts";
import type { HandlerError } from "./errors.ts";

/** Why a socket was turned away before it became a connection. */
export type Rejection =
  /** `withMaxConnections` was reached. */
  | "max-connections"
  /** Every acceptor was busy, and as many sockets waited as may. */
  | "queue-full"
  /** The machine has no descriptors or buffers left. */
  | "exhausted"
  /** The server is stopping. */
  | "stopping";

/** Message of `glisten:connection:open`: the protocol is there and reading begins. */
export interface OpenEvent {
  /** The connection, ready to be asked for its `info()`. */
  readonly connection: Connection<never>;
}

/** Message of `glisten:connection:close`: the last event of a connection. */
export interface CloseEvent {
  /** The connection as it was; its counters are final. */
  readonly connection: Connection<never>;
  /** How it ended. */
  readonly reason: CloseReason;
}

/** Message of `glisten:connection:error`: user code failed on this connection. */
export interface ErrorEvent {
  /** The connection, which is being destroyed. */
  readonly connection: Connection<never>;
  /** What failed; its `cause` is what was thrown. */
  readonly error: HandlerError;
}

/** Message of `glisten:connection:rejected`. */
export interface RejectedEvent {
  /** Why the socket was turned away. */
  readonly reason: Rejection;
}

/** A diagnostics channel, as far as it is used here. */
export interface Teller<Event> {
  readonly hasSubscribers: boolean;
  publish(event: Event): void;
}

export const openChannel: Teller<OpenEvent> = channel("glisten:connection:open");
export const closeChannel: Teller<CloseEvent> = channel("glisten:connection:close");
export const errorChannel: Teller<ErrorEvent> = channel("glisten:connection:error");
export const rejectedChannel: Teller<RejectedEvent> = channel("glisten:connection:rejected");
