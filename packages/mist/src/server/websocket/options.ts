// Every limit, deadline and wish of a WebSocket: its default, its unit, what happens when it is exceeded.

import type { OverflowPolicy } from "@x/glisten/actor";
import { checkMailboxLimits, checkNames, mailboxOptions, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { defaultMaxMailbox } from "../../options.ts";
import type { DeflateParameters } from "../../websocket/extension.ts";
import type { WebSocketLimits } from "../../websocket/reader.ts";
import type { HeartbeatSettings } from "./heartbeat.ts";
import type { WriterSettings } from "./writer.ts";

/**
 * Wishes for permessage-deflate (RFC 7692).
 *
 * A side that keeps its context compresses better and costs memory for as long as the connection lives: about
 * 280 KiB for the server's (2^(windowBits+2) + 2^(memLevel+9) bytes and a buffer), about 60 KiB for the client's.
 * Without context takeover, the default, a connection costs nothing: all share a few streams.
 */
export interface CompressionOptions {
  /** The server begins each message anew. Default true. */
  readonly serverNoContextTakeover?: boolean | undefined;
  /** The client is asked to begin each message anew. Default true. */
  readonly clientNoContextTakeover?: boolean | undefined;
  /** Largest window of the server, 8 to 15. Default 15. */
  readonly serverMaxWindowBits?: number | undefined;
  /** Largest window of the client, 8 to 15; below 15, clients that cannot limit it go uncompressed. Default 15. */
  readonly clientMaxWindowBits?: number | undefined;
  /** Messages below this many bytes are not compressed. Default 1024. */
  readonly threshold?: number | undefined;
  /** zlib's level, 0 to 9. Default 6. */
  readonly level?: number | undefined;
  /** zlib's memLevel, 1 to 9. Default 8. */
  readonly memLevel?: number | undefined;
  /** How many times its compressed size a message above 1 MiB may inflate to. Default 200; 1009. */
  readonly maxInflateRatio?: number | undefined;
  /** Small messages are compressed without a trip to the thread pool, where that is possible. Default true. */
  readonly synchronous?: boolean | undefined;
}

/** Limits and deadlines of a WebSocket. Bytes, counts and milliseconds. */
export interface WebSocketTuning {
  /** Bytes of a message, also when inflated. Default 16 MiB; 1009. */
  readonly maxMessageBytes?: number | undefined;
  /** Frames of a message. Default 131 072; 1009. */
  readonly maxFrames?: number | undefined;
  /** Bytes sent and not taken by the client, above which the next send destroys the connection. Default 16 MiB; 1006. */
  readonly maxBufferedBytes?: number | undefined;
  /** Silence after which the client is pinged; 0: never. Default 30 000. */
  readonly pingIntervalMs?: number | undefined;
  /** Silence after a ping that ends the connection. Default 15 000; 1006. */
  readonly pongTimeoutMs?: number | undefined;
  /** How long the answer to our Close frame may take. Default 5 000; the connection is destroyed. */
  readonly closeTimeoutMs?: number | undefined;
  /** Time without a message after which the connection is closed with 1001; 0: never. Default 0. */
  readonly idleTimeoutMs?: number | undefined;
  /** User messages that may wait for the handler: an integer of at least 1, or `Infinity`. Default 1000. */
  readonly maxMailbox?: number | undefined;
  /** What happens to a user message too many. Default `"stop"`; 1011. */
  readonly overflow?: OverflowPolicy | undefined;
  /** Offers permessage-deflate. Default false; `true` takes all defaults. */
  readonly compression?: boolean | CompressionOptions | undefined;
}

/** The options of a connection, checked and complete. */
export interface WebSocketSettings extends WebSocketLimits, HeartbeatSettings, WriterSettings {
  readonly closeTimeoutMs: number;
  readonly maxMailbox: number;
  readonly overflow: OverflowPolicy;
  readonly compression: CompressionSettings | undefined;
}

export interface CompressionSettings extends DeflateParameters {
  readonly level: number;
  readonly memLevel: number;
  readonly maxInflateRatio: number;
  readonly synchronous: boolean;
}

type NumberName =
  | "maxMessageBytes"
  | "maxFrames"
  | "maxBufferedBytes"
  | "pingIntervalMs"
  | "pongTimeoutMs"
  | "closeTimeoutMs"
  | "idleTimeoutMs";

/** The defaults, and the smallest value that makes sense. */
export const websocketDefaults: Readonly<Record<NumberName, readonly [fallback: number, min: number]>> = {
  maxMessageBytes: [16 * 1024 * 1024, 1],
  maxFrames: [131_072, 1],
  maxBufferedBytes: [16 * 1024 * 1024, 0],
  pingIntervalMs: [30_000, 0],
  pongTimeoutMs: [15_000, 1],
  closeTimeoutMs: [5_000, 1],
  idleTimeoutMs: [0, 0],
};

const compressionRanges = {
  serverMaxWindowBits: [15, 8, 15],
  clientMaxWindowBits: [15, 8, 15],
  threshold: [1024, 0, Number.POSITIVE_INFINITY],
  level: [6, 0, 9],
  memLevel: [8, 1, 9],
  maxInflateRatio: [200, 1, Number.POSITIVE_INFINITY],
} as const;

const compressionSwitches = ["serverNoContextTakeover", "clientNoContextTakeover", "synchronous"] as const;
const compressionNames = [...Object.keys(compressionRanges), ...compressionSwitches];

/** Settings made before, newest first. A server gives every request the same few: its connections share them. */
const known: WebSocketSettings[] = [];
const maxKnown = 8;

/** Checks options and fills in the defaults. @throws UsageError */
export function websocketSettings(tuning: WebSocketTuning): WebSocketSettings {
  const settings = complete(tuning);
  for (const before of known) if (sameSettings(before, settings)) return before;
  known.unshift(settings);
  if (known.length > maxKnown) known.pop();
  return settings;
}

function sameSettings(one: WebSocketSettings, other: WebSocketSettings): boolean {
  const { compression } = one;
  for (const name of settingNames) if (one[name] !== other[name]) return false;
  if (compression === undefined || other.compression === undefined) return compression === other.compression;
  return sameCompression(compression, other.compression);
}

function sameCompression(one: CompressionSettings, other: CompressionSettings): boolean {
  return (Object.keys(one) as (keyof CompressionSettings)[]).every((name) => one[name] === other[name]);
}

const settingNames = [
  "maxMessageBytes",
  "maxFrames",
  "maxBufferedBytes",
  "pingIntervalMs",
  "pongTimeoutMs",
  "closeTimeoutMs",
  "idleTimeoutMs",
  "maxMailbox",
  "overflow",
  "threshold",
] as const;

/** The names of {@link WebSocketTuning}. */
export const tuningNames: readonly string[] = [
  ...Object.keys(websocketDefaults),
  ...mailboxOptions,
  "compression",
];

function complete(tuning: WebSocketTuning): WebSocketSettings {
  checkMailboxLimits(tuning);
  const number = (name: NumberName): number => {
    const [fallback, min] = websocketDefaults[name];
    return inRange(name, tuning[name], fallback, min, Number.POSITIVE_INFINITY);
  };
  const compression = givenCompression(tuning.compression);
  return Object.freeze({
    maxMessageBytes: number("maxMessageBytes"),
    maxFrames: number("maxFrames"),
    maxBufferedBytes: number("maxBufferedBytes"),
    pingIntervalMs: number("pingIntervalMs"),
    pongTimeoutMs: number("pongTimeoutMs"),
    closeTimeoutMs: number("closeTimeoutMs"),
    idleTimeoutMs: number("idleTimeoutMs"),
    maxMailbox: tuning.maxMailbox ?? defaultMaxMailbox,
    overflow: tuning.overflow ?? "stop",
    threshold: compressionNumber(compression ?? {}, "threshold"),
    compression: compression === undefined ? undefined : completeCompression(compression),
  });
}

function givenCompression(given: boolean | CompressionOptions | undefined): CompressionOptions | undefined {
  if (given === undefined || given === false) return undefined;
  if (given === true) return {};
  checkNames("compression", given, compressionNames);
  for (const name of compressionSwitches) {
    const value = given[name];
    if (value === undefined || typeof value === "boolean") continue;
    throw new UsageError(`compression.${name} must be true or false, got ${shown(value)}`);
  }
  return given;
}

function completeCompression(options: CompressionOptions): CompressionSettings {
  return Object.freeze({
    serverNoContextTakeover: options.serverNoContextTakeover ?? true,
    clientNoContextTakeover: options.clientNoContextTakeover ?? true,
    serverMaxWindowBits: compressionNumber(options, "serverMaxWindowBits"),
    clientMaxWindowBits: compressionNumber(options, "clientMaxWindowBits"),
    level: compressionNumber(options, "level"),
    memLevel: compressionNumber(options, "memLevel"),
    maxInflateRatio: compressionNumber(options, "maxInflateRatio"),
    synchronous: options.synchronous ?? true,
  });
}

function compressionNumber(options: CompressionOptions, name: keyof typeof compressionRanges): number {
  const [fallback, min, max] = compressionRanges[name];
  return inRange(`compression.${name}`, options[name], fallback, min, max);
}

function inRange(
  name: string,
  value: number | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (value === undefined) return fallback;
  if (typeof value === "number" && value >= min && value <= max) return value;
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`${name} must be a number ${range}, got ${shown(value)}`);
}
