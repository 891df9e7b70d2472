/**
 * What `Http1Connection.next()` can say. The three that carry nothing are constants.
 */

import type { Fields } from "../http/fields.ts";
import type { RequestHead } from "./request-head.ts";

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

/** Nothing to say before more bytes (or the peer's end) arrive. */
export interface NeedData {
  readonly type: "need-data";
}

/** The request is complete and its response is not: what follows waits for the next cycle. */
export interface Paused {
  readonly type: "paused";
}

/** No further request will come. */
export interface Closed {
  readonly type: "closed";
}

export type Http1Event = RequestHead | BodyData | BodyEnd | NeedData | Paused | Closed;

export const NEED_DATA: NeedData = Object.freeze({ type: "need-data" });
export const PAUSED: Paused = Object.freeze({ type: "paused" });
export const CLOSED: Closed = Object.freeze({ type: "closed" });
