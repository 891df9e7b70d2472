// Request events on node:diagnostics_channel. With no subscriber an event costs one property read.

import diagnostics_channel from "node:diagnostics_channel";
import type { Connection, ConnectionInfo } from "@x/glisten";
import { ProtocolError, type RequestTimeoutError } from "../../errors.ts";
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

/** Counts, and tells of, bytes on `connection` that never became a request. */
export function noteRefusal(
  refusedBy: Record<string, number>,
  connection: Connection,
  error: ProtocolError | RequestTimeoutError,
  status: number | undefined,
): void {
  const by = status ?? "connection";
  refusedBy[by] = (refusedBy[by] ?? 0) + 1;
  if (!requestRefused.hasSubscribers) return;
  const section = error instanceof ProtocolError ? error.section : undefined;
  requestRefused.publish({
    status,
    section,
    error,
    address: addressOf(connection),
  } satisfies RequestRefusedEvent);
}

function addressOf(connection: Connection): ConnectionInfo | undefined {
  try {
    return connection.info();
  } catch {
    return undefined; // a unix socket, or a peer that was gone before it was asked about
  }
}
