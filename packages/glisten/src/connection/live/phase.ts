// How far a connection has come: every phase, and the state that `server.info()` counts it under.

/** The states of a connection as its server counts them. */
export type ConnectionState = "waiting" | "handshaking" | "initialising" | "open" | "closing";

//                             next                       socket            protocol
/** Accepted.                  HANDSHAKING, INITIALISING  unread            none yet */
export const WAITING = 0;
/** PROXY header, TLS.         WAITING                    the handshake's   none yet */
export const HANDSHAKING = 1;
/** The protocol is made.      OPEN                       unread            none yet */
export const INITIALISING = 2;
/** Bytes both ways.           CLOSING                    read unless held  hears everything */
export const OPEN = 3;
/** Flushing, then lingering.  GONE                       read, discarded   hears `closed` once flushed */
export const CLOSING = 4;
/** The socket is closed.      LEFT                       gone              has heard `closed` */
export const GONE = 5;
/** `closed` has settled.      none                       gone              gone */
export const LEFT = 6;

// Any phase goes to CLOSING when the connection is cut, and to GONE when the socket closes.

const states: readonly ConnectionState[] = ["waiting", "handshaking", "initialising", "open", "closing"];

/** The state that a connection in this phase is counted under. */
export function stateOf(phase: number): ConnectionState {
  return states[phase] ?? "closing";
}

/** Zero connections of each state. */
export function countByState(): Record<ConnectionState, number> {
  return { waiting: 0, handshaking: 0, initialising: 0, open: 0, closing: 0 };
}
