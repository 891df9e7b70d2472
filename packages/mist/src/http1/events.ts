// What `Http1Connection.next()` tells, and what `Http1Connection.send()` takes.

import type { Fields } from "../http/fields.ts";
import type { RequestHead } from "./request-head.ts";

// --- received ------------------------------------------------------------------------------------

/** A piece of the request body. `data` is a view of the received bytes and the receiver's to keep. */
export interface BodyData {
  readonly type: "data";
  readonly data: Buffer;
}

/** The request is complete. Follows every body, and only a body. */
export interface BodyEnd {
  readonly type: "end";
  readonly trailers: Fields;
}

/** Nothing until more bytes (or the peer's FIN) arrive or, behind a complete request, until its response is sent. */
export interface NeedData {
  readonly type: "need-data";
  /** Part of a request has arrived and waits for the rest. */
  readonly begun: boolean;
}

/** No further request will come. */
export interface Closed {
  readonly type: "closed";
  /**
   * The peer may still be sending, so a close must linger (RFC 9112 §9.6). False: it said that it closes behind this
   * very request, and all it sent has been read.
   */
  readonly lingers: boolean;
}

export type Http1Event = RequestHead | BodyData | BodyEnd | NeedData | Closed;

// The events that carry nothing of a message are constants.
export const needRequest: NeedData = Object.freeze({ type: "need-data", begun: false });
export const needRest: NeedData = Object.freeze({ type: "need-data", begun: true });
export const lingeringClose: Closed = Object.freeze({ type: "closed", lingers: true });
export const closedByPeer: Closed = Object.freeze({ type: "closed", lingers: false });

// --- sent ----------------------------------------------------------------------------------------

/** An interim response, 100 to 199 but not 101 (RFC 9110 §15.2). An HTTP/1.0 client gets none. */
export interface Informational {
  readonly type: "informational";
  readonly status: number;
  readonly fields: Fields;
}

interface FinalHead {
  readonly status: number;
  readonly fields: Fields;
  /** Close the connection behind this response. */
  readonly close: boolean;
  /** The value of the Date field; `""` for none. */
  readonly date: string;
}

/** A response whose body is all there: head, content and end in one. */
export interface WholeResponse extends FinalHead {
  readonly type: "response";
  /** Text is sent as UTF-8. */
  readonly body: string | Uint8Array;
}

/** The head of a response; `content` events and an `end` follow. */
export interface ResponseHead extends FinalHead {
  readonly type: "head";
  /** Bytes of the body; `undefined` if not known beforehand. */
  readonly length: number | undefined;
}

/** A piece of the response's content. An empty one sends nothing. */
export interface Content {
  readonly type: "content";
  readonly data: Uint8Array;
}

/** The response is complete. Trailers are left out unless the coding is chunked. */
export interface ResponseEnd {
  readonly type: "end";
  readonly trailers: Fields;
}

/** Accepts the upgrade that the request asked for, with a 101 (RFC 9110 §7.8). */
export interface Upgrade {
  readonly type: "upgrade";
  readonly fields: Fields;
}

export type SendEvent = Informational | WholeResponse | ResponseHead | Content | ResponseEnd | Upgrade;

/** What to write, in order. Text is Latin-1. */
export type Pieces = readonly (string | Uint8Array)[];
