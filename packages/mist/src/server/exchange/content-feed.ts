// The content of a request between the core and whoever reads it: at the reader's pace, at the peer's risk of being
// too slow; or, if nobody wants it, out of the way of the next request.

import { BodyError, ProtocolError, RequestTimeoutError } from "../../errors.ts";
import type { Http1Connection } from "../../http1/connection.ts";
import type { Http1Event } from "../../http1/events.ts";
import { ContentWait } from "./content-wait.ts";
import type { IncomingBody } from "./request-body.ts";
import type { Service } from "./service.ts";

/** What the feed needs of the connection. */
export interface ContentFeedHost {
  readonly service: Service;
  readonly core: Http1Connection;
  /** More bytes are wanted, and within this time; 0: no more are waited for. */
  awaitContent(ms: number): void;
}

/** Feeds the body of one request. */
export class ContentFeed {
  readonly #host: ContentFeedHost;
  readonly #wait: ContentWait = new ContentWait();
  #dropped = 0;

  constructor(host: ContentFeedHost) {
    this.#host = host;
  }

  /** The next piece, null at the end, undefined if it has yet to come. @throws BodyError if the coding is broken. */
  pull(body: IncomingBody): Buffer | null | undefined {
    const { core, service } = this.#host;
    let event: Http1Event;
    try {
      event = core.next();
    } catch (error) {
      throw bodyError(error);
    }
    if (event.type === "need-data") {
      this.#wait.begin();
      this.#host.awaitContent(service.deadlines.bodyIdleMs);
      return undefined;
    }
    if (this.#wait.end()) this.#host.awaitContent(0);
    if (event.type === "data") return event.data;
    if (event.type === "end") body.trailers = event.trailers;
    return null;
  }

  /** Bytes came while a reader waits: enough of them, or too few for the time it took. */
  feed(body: IncomingBody): void {
    const { core, service } = this.#host;
    this.#wait.count();
    const slow = this.#wait.tooSlow(body.received + core.retainedBytes, service.deadlines.minBodyRate);
    if (slow) body.fail(tooSlow(service.deadlines.minBodyRate, this.#wait.totalMs));
    else body.resume();
  }

  /** Drops what has come of content that nobody wants. `too-much`: broken, or more than the next request is worth. */
  drop(): "all" | "more-to-come" | "too-much" {
    const { core, service } = this.#host;
    for (;;) {
      let event: Http1Event;
      try {
        event = core.next();
      } catch {
        return "too-much";
      }
      if (event.type === "need-data") return "more-to-come";
      if (event.type !== "data") return "all";
      this.#dropped += event.data.length;
      if (this.#dropped > service.limits.maxDrain) return "too-much";
    }
  }
}

function tooSlow(minBodyRate: number, waitedMs: number): RequestTimeoutError {
  const timeoutMs = Math.round(waitedMs);
  const message = `the request body came in at less than ${minBodyRate} bytes per second for ${timeoutMs} ms (minBodyRate)`;
  return new RequestTimeoutError("minBodyRate", timeoutMs, { message });
}

function bodyError(error: unknown): unknown {
  if (!(error instanceof ProtocolError)) return error;
  return new BodyError("malformed-body", error.message, error);
}
