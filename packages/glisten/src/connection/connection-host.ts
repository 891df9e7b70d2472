// What lies between a connection and its server: what each needs of the other.

import type { HandlerError } from "../errors.ts";
import type { TimerWheel } from "../server/timer-wheel.ts";
import type { Connection, CreateProtocol } from "./connection.ts";
import type { Handshake } from "./handshake.ts";
import type { ReadAheadLimits } from "./live/inbound.ts";
import type { ConnectionState } from "./live/phase.ts";
import type { CloseReason } from "./protocol.ts";

/** What carries the bytes of a connection, below TLS. */
export type Carrier = "tcp" | "unix" | "memory";

/** What a server needs of a connection. */
export interface HostedConnection extends Connection<never> {
  readonly state: ConnectionState;
  /** The name that the stop report counts it by. */
  readonly kind: string;
  /** True: opened, or ended. False: not yet, and `done` is called once it is. */
  open(done: () => void): boolean;
  /** It will not be opened. */
  drop(): void;
}

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly wheel: TimerWheel;
  readonly settings: ConnectionSettings;
  readonly address: { readonly type: Carrier };
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  /** Milliseconds until the stop deadline; undefined until the server drains. */
  readonly stopLeftMs: number | undefined;
  /** The handshake is done; an acceptor may open the connection. */
  ready(connection: HostedConnection): void;
  /** The protocol is there and reading begins. */
  opened(connection: HostedConnection): void;
  /** The socket is closed and the protocol has been told. */
  gone(connection: HostedConnection, reason: CloseReason): void;
  /** Called once for every failure of user code. */
  report(error: HandlerError, connection: HostedConnection): void;
}

/** The options that shape every connection of a server. */
export interface ConnectionSettings extends ReadAheadLimits {
  readonly create: CreateProtocol;
  /** What comes before the protocol: a PROXY header, TLS; undefined: nothing. */
  readonly handshake: Handshake | undefined;
  /** Whether reading stops while the peer does not take what is written to it. */
  readonly readStopsWhenBlocked: boolean;
  /** Bytes written and not taken above which more are not welcome; at least Node's own mark. */
  readonly highWaterMark: number;
  readonly handshakeTimeoutMs: number;
  readonly initTimeoutMs: number;
  readonly lingerMs: number;
  readonly stallMs: number;
  /** See `live/send-deadline.ts`; Infinity: no deadline. */
  readonly sendMs: number;
  readonly minSendRate: number;
}
