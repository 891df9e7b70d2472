// What a connection and those that own its streams, a channel or a tunnel, want of each other.

import type { CloseReason, Connection } from "@x/glisten";
import type { Http2Connection } from "../../http2/connection.ts";
import type { Stream } from "../../http2/streams/stream.ts";
import type { Service } from "../exchange/service.ts";

/** The core of one connection. */
export type Core = Http2Connection<StreamOwner>;

/** What the owner of a stream is told. */
export interface StreamOwner {
  /** Content came, or its end. */
  feed(): void;
  /** What was queued has left, mostly: there is room for more. */
  hasRoom(): void;
  /** The first instant at which `late` has something to do. */
  readonly due: number;
  late(now: number): void;
  /** The server is stopping. */
  shutdown(deadlineMs: number): void;
  /** The client has half-closed the connection. */
  leftByPeer(): void;
  /** The stream is gone, or the connection with it, for that `reason`. `error` is what those hear who wait for it. */
  abandon(error: unknown, reason: CloseReason): void;
}

/** What the owner of a stream needs of the connection it is a part of. */
export interface StreamHost {
  readonly service: Service;
  readonly scheme: "http" | "https";
  readonly connection: Connection;
  readonly core: Core;
  /** Milliseconds until the stop deadline, as they were when the server began to stop; negative: it has not. */
  readonly shutdownDeadlineMs: number;
  /** The client has half-closed the connection: it will send no more, windows included. */
  readonly peerEnded: boolean;
  /** `owner` has to do with its stream no more. */
  done(owner: StreamOwner, killed?: boolean): void;
  /** `heir` owns the stream in place of `owner`. */
  handOver(owner: StreamOwner, heir: StreamOwner): void;
  /** Has the stream reset behind what the client takes of it now. */
  breakOff(stream: Stream<StreamOwner>): void;
  /** Has `late` called by that instant. */
  arm(instant: number, now: number): void;
  /** Has what was sent leave before the event loop goes on, together with what else is sent in this turn. */
  flushSoon(): void;
}
