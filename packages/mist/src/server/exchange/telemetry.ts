// Request events on node:diagnostics_channel. With no subscriber an event costs one property read.

import diagnostics_channel from "node:diagnostics_channel";
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

/** `mist:request:start` */
export const requestStart: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:start");
/** `mist:request:end` */
export const requestEnd: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:end");
/** `mist:request:error` */
export const requestError: diagnostics_channel.Channel = diagnostics_channel.channel("mist:request:error");
