// Writers of the bodies that are not all there: iterables and sources pull, actors push.
//
// A writer is made before the head is written, so that what cannot be opened can still be answered 500, and started
// behind it. It lets go of its producer exactly once on every way out: at the end, when the producer fails, when the
// client leaves, when the server is killed.

import type { Exchange } from "../exchange/exchange.ts";
import { ActorWriter } from "./actor-writer.ts";
import { IterableWriter, SourceWriter } from "./pulling-writer.ts";
import { releaseIterable } from "./release.ts";
import { noBody, type ResponseBody, type ServerResponse } from "./response-body.ts";

/** A body being written. */
export interface BodyWriter {
  /** The head is written: begin. */
  start(): void;
  /** What was written has left. */
  drain(): void;
  /** The peer has half-closed. */
  peerEnded(): void;
  shutdown(deadlineMs: number): void;
  deadline(): void;
  /** The response is over, or never was begun: let go of the producer. Called once. */
  close(): void;
}

/** The writer of `body` on `exchange`. Throws what the body throws when it is opened. */
export function bodyWriter(exchange: Exchange, body: ResponseBody): BodyWriter {
  switch (body.kind) {
    case "iterable":
      return new IterableWriter(exchange, body);
    case "source":
      return new SourceWriter(exchange, body);
    case "actor":
      return new ActorWriter(exchange, body);
    default:
      throw noBody(body);
  }
}

/** Lets go of a body that no writer was made for. A producer that fails at that goes to `report`. */
export function discardBody(response: ServerResponse, report: (error: unknown) => void): void {
  if (response.body.kind === "source") response.body.discard?.();
  else if (response.body.kind === "iterable") releaseIterable(response.body.chunks, report);
}
