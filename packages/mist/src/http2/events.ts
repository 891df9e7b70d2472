// What `Http2Connection.next()` can say. Those that carry nothing are constants.

import type { ProtocolError } from "../errors.ts";
import type { Fields } from "../http/fields.ts";
import type { RequestHead } from "./messages/request-head.ts";
import type { Stream } from "./streams/stream.ts";

/** A request. Its stream stays open until it is answered. */
export interface RequestEvent<Owner> {
  readonly type: "request";
  readonly stream: Stream<Owner>;
  readonly head: RequestHead;
}

/** A request that must be answered with `error.status`: too large, an expectation, a tunnel. */
export interface RefusedEvent<Owner> {
  readonly type: "refused";
  readonly stream: Stream<Owner>;
  readonly error: ProtocolError;
}

/** More of a request's body is there: `read` gives it. */
export interface DataEvent<Owner> {
  readonly type: "data";
  readonly stream: Stream<Owner>;
}

/** A request's body is complete; `stream.trailers` and, behind the last piece, `read` say so as well. */
export interface EndEvent<Owner> {
  readonly type: "end";
  readonly stream: Stream<Owner>;
  readonly trailers: Fields;
}

/** A stream is no more, and its response will not be sent. Follows no `reset` by the shell itself. */
export interface ResetEvent<Owner> {
  readonly type: "reset";
  readonly stream: Stream<Owner>;
  readonly code: number;
  /** `"peer"`: it cancelled the request. `"core"`: it broke a rule, or let the stream stall. */
  readonly by: "peer" | "core";
  readonly reason: string;
}

/** A stream for which `sendData` returned false has room again. */
export interface RoomEvent<Owner> {
  readonly type: "room";
  readonly stream: Stream<Owner>;
}

/** The peer will open no more streams. */
export interface GoawayEvent {
  readonly type: "goaway";
  readonly code: number;
}

/** The peer broke the protocol, or a limit: what `output` has left is the last to be written. Followed by `closed`. */
export interface FailedEvent {
  readonly type: "failed";
  /** What the peer is told (RFC 9113 §7). */
  readonly code: number;
  readonly error: ProtocolError;
}

/** Nothing to say before more bytes arrive. */
export interface NeedData {
  readonly type: "need-data";
}

/** Nothing more is read. */
export interface Closed {
  readonly type: "closed";
}

export type Http2Event<Owner = unknown> =
  | RequestEvent<Owner>
  | RefusedEvent<Owner>
  | DataEvent<Owner>
  | EndEvent<Owner>
  | ResetEvent<Owner>
  | RoomEvent<Owner>
  | GoawayEvent
  | FailedEvent
  | NeedData
  | Closed;

export const NEED_DATA: NeedData = Object.freeze({ type: "need-data" });
export const CLOSED: Closed = Object.freeze({ type: "closed" });
