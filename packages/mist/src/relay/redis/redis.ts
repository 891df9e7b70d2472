// A relay on Redis, by node-redis. A topic is a channel; with `streams` it is a stream as well, which keeps messages.

import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Relay } from "../relay.ts";
import { type RedisClientLike, RedisPubSub } from "./pub-sub.ts";
import { RedisStreams } from "./streams.ts";

export type { RedisClientLike };

/** What the streams keep. */
export interface RedisStreamOptions {
  /** Messages per topic, roughly: Redis trims whole blocks. Default 1000. */
  readonly maxLength?: number | undefined;
  /** A topic's stream is deleted after so many milliseconds without a message. Default 86 400 000 (a day). */
  readonly maxIdleMs?: number | undefined;
}

/** Options of {@link redis}. */
export interface RedisRelayOptions {
  /** What channels and keys begin with; one per application that shares the server. Default `"mist"`. */
  readonly prefix?: string | undefined;
  /** Keeps messages in streams. Default `false`. */
  readonly streams?: boolean | RedisStreamOptions | undefined;
}

/**
 * A relay on Redis 6.2 or newer, Valkey, or whatever else speaks RESP3. A topic `room:7` is the channel `mist:room:7`.
 *
 * The client is a model: the relay makes one like it, with the same address, credentials, TLS and `reconnectStrategy`,
 * and closes that one with the topics. The given client need not be connected, and is left as it is.
 *
 * Redis delivers at most once: what is published while a process is away never reaches it. With `streams` a topic is
 * also the stream `mist:room:7`: a process that was away catches up, and a topic's log begins with what the stream has,
 * even after all processes were restarted. What survives a restart of Redis itself depends on its persistence. In a Redis
 * Cluster pass the client of one node, without `streams`.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * import { redis } from "@x/mist/relay/redis";
 * import { createClient } from "redis";
 *
 * const client = createClient({ url: "redis://localhost:6379" });
 * const topics = mist.topics({ relay: redis(client, { streams: { maxLength: 500 } }) });
 * ```
 */
export function redis(client: RedisClientLike, options: RedisRelayOptions = {}): Relay {
  checkNames("redis", options, ["prefix", "streams"]);
  const { prefix = "mist", streams = false } = options;
  if (typeof client?.duplicate !== "function" || typeof client.isPubSubActive !== "boolean") {
    throw new UsageError(`redis takes a client of node-redis, got ${shown(client)}`);
  }
  if (typeof prefix !== "string" || prefix === "") {
    throw new UsageError(`prefix must be a string that is not empty, got ${shown(prefix)}`);
  }
  if (streams === false) return new RedisPubSub(client, prefix);
  if (streams !== true) checkNames("streams", streams, ["maxLength", "maxIdleMs"]);
  const { maxLength = 1_000, maxIdleMs = 86_400_000 } = streams === true ? {} : streams;
  for (const [name, value] of Object.entries({ maxLength, maxIdleMs })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new UsageError(`${name} must be an integer, at least 1, got ${shown(value)}`);
  }
  return new RedisStreams(client, prefix, maxLength, maxIdleMs);
}
