/**
 * What lies between a connection and its server: what each needs of the other, and the words for how far a
 * connection has come.
 */

import type { HandlerError } from "../errors.ts";
import type { TimerWheel } from "../server/timer-wheel.ts";
import type { Handshake } from "./handshake.ts";
import type { LiveConnection } from "./live-connection.ts";
import type { CloseReason, CreateProtocol } from "./protocol.ts";

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly wheel: TimerWheel;
  readonly settings: ConnectionSettings;
  readonly address: { readonly type: "tcp" | "unix" };
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  /** Milliseconds until the stop deadline; undefined until the server drains. */
  readonly stopLeftMs: number | undefined;
  /** The handshake is done; an acceptor may open the connection. */
  ready(connection: LiveConnection): void;
  /** The protocol is there and reading begins. */
  opened(connection: LiveConnection): void;
  /** The socket is gone and the protocol has been told. */
  gone(connection: LiveConnection, reason: CloseReason): void;
  /** Told once for every failure of user code. */
  report(error: HandlerError, connection: LiveConnection): void;
}

/** The options that shape every connection of a server. */
export interface ConnectionSettings {
  readonly create: CreateProtocol;
  /** What comes before the protocol: a PROXY header, TLS; undefined: nothing. */
  readonly handshake: Handshake | undefined;
  /** Chunks, and bytes, read ahead of a pending handler before the socket is left unread. */
  readonly readAheadChunks: number;
  readonly readAheadBytes: number;
  /** Whether reading stops while the peer does not take what is written to it. */
  readonly readStopsWhenBlocked: boolean;
  /** Bytes written and not taken above which more are not welcome; at least Node's own mark. */
  readonly highWaterMark: number;
  readonly handshakeTimeoutMs: number;
  readonly initTimeoutMs: number;
  readonly lingerMs: number;
  readonly stallMs: number;
}

/** How far a connection has come. */
export type ConnectionState = "waiting" | "handshaking" | "initialising" | "open" | "closing";

/** The same as numbers, in this order; a connection is never in an earlier one than before, except 1 → 0. */
export const WAITING = 0;
export const HANDSHAKING = 1;
export const INITIALISING = 2;
export const OPEN = 3;
export const CLOSING = 4;
export const GONE = 5;
/** Gone, and all have been told. */
export const LEFT = 6;

/** By number. A connection that is gone but whose `closed` has not settled still counts as closing. */
export const STATE_NAMES: readonly ConnectionState[] = [
  "waiting",
  "handshaking",
  "initialising",
  "open",
  "closing",
  "closing",
  "closing",
];
