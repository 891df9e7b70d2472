// The state of a connection, one object however many its parts: `opening.ts`, `reading.ts`, `writing.ts`,
// `deadlines.ts` and `ending.ts` are functions over it, and `live-connection.ts` is the object itself. A part calls
// another that comes later in this order by a method of the record.

import type { Socket } from "node:net";
import type { Timed } from "../../server/timer-wheel.ts";
import type { Endpoint } from "../connection.ts";
import type { Carrier, ConnectionHost, HostedConnection } from "../connection-host.ts";
import type { CloseReason, Protocol } from "../protocol.ts";
import type { Inbound, Reader } from "./inbound.ts";
import type { Outbound } from "./outbound.ts";
import type { Debtor, SendDeadline } from "./send-deadline.ts";

// What has happened besides the phases, as bits of `marks`: a connection is one of very many.
export const toldToStop = 1;
export const endedWriting = 2;
export const lingerIsOver = 4;
export const tellingClosed = 8;
export const toldClosed = 16;
export const peerLost = 32;

/** A connection, as its parts see it. */
export interface ConnectionRecord extends HostedConnection, Reader, Debtor, Timed {
  readonly host: ConnectionHost;
  /** Node's socket; with TLS the one above. */
  socket: Socket;
  /** The socket below TLS; undefined without TLS. */
  raw: Socket | undefined;
  /** What is below it all. */
  readonly carrier: Carrier;
  /** The client that a PROXY header named. */
  client: Endpoint | undefined;
  /** See `phase.ts`. */
  phase: number;
  marks: number;
  /** Why the socket is not read, as bits; 0: it is. */
  holds: number;
  protocol: Protocol | undefined;
  /** While the protocol's promise is open. */
  inbound: Inbound | undefined;
  /** From the first time that the peer takes less than it is given. */
  outbound: Outbound | undefined;
  /** While bytes wait for the peer. */
  sendDeadline: SendDeadline | undefined;
  /** Why the connection ends; undefined while nothing has decided it. */
  reason: CloseReason | undefined;
  /** Called once an asynchronous `init` is over. */
  initialised: (() => void) | undefined;
  /** Reports a failure of user code; `during` names the handler. */
  report(error: unknown, during?: string): void;
  /** Frees the acceptor that waits for an asynchronous `init`. */
  leaveInit(): void;
  /** Takes note that the kernel has all that was written. */
  drained(): void;
  /** Tells the protocol that the server is stopping. */
  shutdown(deadlineMs: number): void;
}
