// Request events on node:diagnostics_channel. With no subscriber an event costs one property read.

import diagnostics_channel from "node:diagnostics_channel";
import type { ConnectionInfo } from "@x/glisten";
import type { ProtocolError, RequestTimeoutError } from "../../errors.ts";
import type { Request } from "../../http/request.ts";

/** Published on `mist:request:start` when a head has been parsed. */
export interface RequestStartEvent {
  /** The request; its body is unread. */
  readonly request: Request<unknown>;
}

/** Published on `mist:request:end` when a response is complete or broken off. */
export interface RequestEndEvent {
  /** The request that was answered. */
  readonly request: Request<unknown>;
  /** Status of the final response; undefined if none was begun. */
  readonly status: number | undefined;
  /** Milliseconds from the parsed head. Only measured while somebody is subscribed. */
  readonly durationMs: number;
  /** Content bytes received, codings not counted. */
  readonly bytesRead: number;
  /** Content bytes sent, codings not counted. */
  readonly bytesWritten: number;
  /** False if the response was broken off or the client left. */
  readonly complete: boolean;
  /** What the server failed with, and told `onError`; undefined if it did not fail. */
  readonly error: unknown;
}

/**
 * The one message of all channels of `tracing:mist:request` for a request; subscribers may put properties of their own on
 * it. What a {@link RequestEndEvent} tells stands in it from `error` and `asyncStart` on.
 */
export interface RequestTrace extends Partial<Omit<RequestEndEvent, "request">> {
  /** The request, as the handler gets it. */
  readonly request: Request<unknown>;
}

/** Published on `mist:request:error` when a handler or a body producer fails. */
export interface RequestErrorEvent {
  /** The request that was being answered. */
  readonly request: Request<unknown>;
  /** What was thrown. */
  readonly error: unknown;
}

/** Published on `mist:request:refused` when what a client sent never became a request. */
export interface RequestRefusedEvent {
  /**
   * What the client was answered: 400, 408, 414, 417, 431, 501 or 505; undefined when an HTTP/2 connection was ended with
   * GOAWAY.
   */
  readonly status: number | undefined;
  /** The clause that was broken, for example `"RFC 9112 §3.2"`; undefined for a deadline. */
  readonly section: string | undefined;
  /** What the client did wrong. */
  readonly error: ProtocolError | RequestTimeoutError;
  /** Both ends of the connection; undefined on a unix socket, and if the client was gone at once. */
  readonly address: ConnectionInfo | undefined;
}

/** `mist:request:start` */
export const requestStart: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:start");
/** `mist:request:end` */
export const requestEnd: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:end");
/** `mist:request:error` */
export const requestError: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:error");
/** `mist:request:refused` */
export const requestRefused: diagnostics_channel.Channel =
  diagnostics_channel.channel("mist:request:refused");
/**
 * `tracing:mist:request:start`, `:end`, `:asyncStart`, `:asyncEnd`, `:error`. Stores that are bound to `start` hold for the
 * handler and all that comes of it.
 */
export const requestTracing: diagnostics_channel.TracingChannel<unknown, RequestTrace> =
  diagnostics_channel.tracingChannel("mist:request");
