// The options of `topics`: what they are, what they default to, and what they must be.

import { checkFunctions, checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Relay } from "../../relay/relay.ts";
import type { SlowClientPolicy } from "./member.ts";
import type { FrameMaker } from "./message.ts";

/** How much is kept for members that come back. */
export interface ReplayOptions {
  /** Messages of each topic: an integer of at least 1. Default 100. */
  readonly messages?: number | undefined;
  /**
   * Bytes of each topic, as they were published, with 128 for each message. What is made of them for members may take
   * twice as much again. Default 1 MiB.
   */
  readonly bytes?: number | undefined;
  /** Bytes of all topics; the topics that have been silent for longest lose theirs first. Default 64 MiB. */
  readonly totalBytes?: number | undefined;
  /** How long a topic goes on without members, in milliseconds. Default 60 000. */
  readonly keepMs?: number | undefined;
}

/** What may wait for a relay's engine: while it is away, and while it takes less than is published. */
export interface UnsentOptions {
  /** Bytes; a message that does not fit is not sent. Default 8 MiB. */
  readonly bytes?: number | undefined;
  /** Milliseconds; older messages are not sent when the engine is back. Default 30 000. */
  readonly maxAgeMs?: number | undefined;
}

/** Options of {@link topics}. */
export interface TopicsOptions {
  /** Carries messages to and from other processes. Default: none, topics are this process's own. */
  readonly relay?: Relay | undefined;
  /** The last messages of each topic are kept for members that come back: how many, or more exactly. Default: none. */
  readonly replay?: number | ReplayOptions | undefined;
  /** Messages that may wait for one member: an integer of at least 1. Default 64. */
  readonly maxQueue?: number | undefined;
  /** What happens to a member with more. Default `"drop-oldest"`. */
  readonly slowClient?: SlowClientPolicy | undefined;
  /** Topics in this process. Default 100 000. */
  readonly maxTopics?: number | undefined;
  /** Topics that one connection may have joined. Default 1000. */
  readonly maxTopicsPerMember?: number | undefined;
  /** Bytes of a message. Default 1 000 000, which leaves brokers with a limit of 1 MiB room for what is added. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * Makes what WebSockets are sent for a message, once for all of this process; for example with its topic and id. Must
   * not throw. Default: the message as it was published.
   */
  readonly frame?: FrameMaker | undefined;
  /** Members may have names, which all processes know: {@link Topics.presence}. Default: false. */
  readonly presence?: boolean | undefined;
  /** Bounds what waits for the relay. */
  readonly unsent?: UnsentOptions | undefined;
}

/** The options, complete. */
export interface TopicsSettings {
  readonly relay: Relay | undefined;
  readonly replay: { readonly [Name in keyof ReplayOptions]-?: number } | undefined;
  readonly maxQueue: number;
  readonly slowClient: SlowClientPolicy;
  readonly maxTopics: number;
  readonly maxTopicsPerMember: number;
  readonly maxMessageBytes: number;
  readonly frame: FrameMaker | undefined;
  readonly presence: boolean;
  readonly unsent: { readonly [Name in keyof UnsentOptions]-?: number };
}

const mebibyte = 1024 * 1024;
const policies: readonly string[] = ["drop-oldest", "drop-newest", "close"] satisfies SlowClientPolicy[];

/** @throws UsageError */
export function topicsSettings(options: TopicsOptions): TopicsSettings {
  const names = ["relay", "replay", "maxQueue", "slowClient", "maxTopics", "maxTopicsPerMember"];
  checkNames("topics", options, [...names, "maxMessageBytes", "frame", "presence", "unsent"]);
  checkFunctions(options, [], ["frame"]);
  const { relay, slowClient = "drop-oldest", frame, presence = false, unsent = {} } = options;
  if (relay !== undefined) checkFunctions(relay, ["open", "subscribe", "unsubscribe", "publish", "close"]);
  if (!policies.includes(slowClient)) {
    throw new UsageError(
      `slowClient must be "drop-oldest", "drop-newest" or "close", got ${shown(slowClient)}`,
    );
  }
  if (typeof presence !== "boolean")
    throw new UsageError(`presence must be true or false, got ${shown(presence)}`);
  checkNames("unsent", unsent, ["bytes", "maxAgeMs"]);
  return {
    relay,
    replay: replaySettings(options.replay),
    maxQueue: integer("maxQueue", options.maxQueue, 64),
    slowClient,
    maxTopics: integer("maxTopics", options.maxTopics, 100_000),
    maxTopicsPerMember: integer("maxTopicsPerMember", options.maxTopicsPerMember, 1000),
    maxMessageBytes: integer("maxMessageBytes", options.maxMessageBytes, 1_000_000),
    frame,
    presence,
    unsent: {
      bytes: integer("unsent.bytes", unsent.bytes, 8 * mebibyte, 0),
      maxAgeMs: integer("unsent.maxAgeMs", unsent.maxAgeMs, 30_000, 0),
    },
  };
}

function replaySettings(given: TopicsOptions["replay"]): TopicsSettings["replay"] {
  if (given === undefined) return undefined;
  const replay = typeof given === "number" ? { messages: given } : given;
  checkNames("replay", replay, ["messages", "bytes", "totalBytes", "keepMs"]);
  return {
    messages: integer("replay", replay.messages, 100),
    bytes: integer("replay.bytes", replay.bytes, mebibyte),
    totalBytes: integer("replay.totalBytes", replay.totalBytes, 64 * mebibyte),
    keepMs: integer("replay.keepMs", replay.keepMs, 60_000, 0),
  };
}

function integer(name: string, value: number | undefined, otherwise: number, least = 1): number {
  if (value === undefined) return otherwise;
  if (Number.isSafeInteger(value) && value >= least && value <= 2 ** 31 - 1) return value;
  throw new UsageError(`${name} must be an integer from ${least} to ${2 ** 31 - 1}, got ${shown(value)}`);
}
