// What happens between topics and other processes, on node:diagnostics_channel.

import diagnostics_channel from "node:diagnostics_channel";
import type { Undelivered } from "../../relay/outbox.ts";

/**
 * How topics stand with other processes: `"local"` without a relay, `"connecting"` until it has connected first,
 * `"closed"` after `close`.
 */
export type TopicsState = "local" | "connecting" | "connected" | "disconnected" | "closed";

/** Published on `mist:topics:state` when the connection to other processes comes or goes. */
export interface TopicsStateEvent {
  /** What `topics.state` is now. */
  readonly state: TopicsState;
  /** Why it has gone. */
  readonly cause?: unknown;
}

/**
 * Published on `mist:topics:dropped` for each message that is lost between processes. Out: too much waits for the broker
 * (`"full"`), it was away for too long (`"expired"`), it took the connection but not the message (`"refused"`). In:
 * the message was not written by topics (`"malformed"`), or is longer than `maxMessageBytes` (`"too-large"`).
 */
export interface TopicsDroppedEvent {
  /** Where it was published. */
  readonly topic: string;
  /** Why it is lost. */
  readonly reason: Undelivered | "malformed" | "too-large";
  /** The relay's error, if there is one. */
  readonly cause?: unknown;
}

/** Published on `mist:topics:error` when the relay, or the `frame` option for a message of another process, fails. */
export interface TopicsErrorEvent {
  /** Undefined if it is not about one topic. */
  readonly topic: string | undefined;
  /** What was thrown. */
  readonly error: unknown;
}

/** `mist:topics:state` */
export const topicsState: diagnostics_channel.Channel = diagnostics_channel.channel("mist:topics:state");
/** `mist:topics:dropped` */
export const topicsDropped: diagnostics_channel.Channel = diagnostics_channel.channel("mist:topics:dropped");
/** `mist:topics:error` */
export const topicsError: diagnostics_channel.Channel = diagnostics_channel.channel("mist:topics:error");
