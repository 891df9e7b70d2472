// Every limit and deadline of a mist server: its default, its unit, what happens when it is exceeded.
// One table; the README's table is checked against it by a test.

import type { Overrides } from "@x/glisten";
import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "./errors.ts";
import { defaultHttp1Limits, type Http1Limits } from "./http1/limits.ts";
import { DEFAULT_LIMITS as defaultHttp2Limits, type Http2Limits } from "./http2/limits.ts";

/** What one HTTP/2 connection may make the server hold: its limits without its deadlines. */
export type Http2Sizes = Omit<Http2Limits, "settingsAckMs" | "headMs" | "sendMs">;

/**
 * Limits on what one request may cost, on its parts and on its content, and on what one HTTP/2 connection may. Bytes or
 * counts.
 */
export interface Limits extends Http1Limits, Http2Sizes {
  /** Bytes of an unread body that are drained to keep the connection. Default 1 MiB; beyond, the connection closes. */
  readonly maxDrain: number;
  /** Bytes received ahead of the handler, above which the socket is not read. Default 64 KiB. */
  readonly maxBuffered: number;
}

/** Deadlines in milliseconds, and the rate below which a body counts as stalled. 0 turns one off. */
export interface Deadlines {
  /** From the first byte of a head, or of an HTTP/2 frame, to its end. Default 10 000; 408, or GOAWAY. */
  readonly headMs: number;
  /** Between two pieces of a body that the handler waits for. Default 15 000; 408. */
  readonly bodyIdleMs: number;
  /** Bytes per second a body must keep to, after five seconds of waiting for it. Default 240; 408. */
  readonly minBodyRate: number;
  /** Between two requests on a connection. Default 75 000; closed without a response. */
  readonly keepAliveMs: number;
  /**
   * Without the client taking a byte of what was written, whoever writes, or without an HTTP/2 window for what is to be
   * sent. Default 90 000; reset.
   */
  readonly sendMs: number;
  /** Bytes per second a client must take on average, while anything waits for it. Default 240; reset. */
  readonly minSendRate: number;
  /**
   * How long an idle connection is kept after `stop`, for a request that is already on its way; for how long an HTTP/2
   * client that has been told may open streams. Default 100.
   */
  readonly stopGraceMs: number;
  /** Until an HTTP/2 client has acknowledged the server's settings. Default 10 000; GOAWAY. */
  readonly settingsAckMs: number;
}

/** The default limits. */
export const defaultLimits: Limits = Object.freeze({
  ...defaultHttp1Limits,
  ...http2Sizes(defaultHttp2Limits),
  maxDrain: 1024 * 1024,
  maxBuffered: 64 * 1024,
});

/** The default deadlines. */
export const defaultDeadlines: Deadlines = Object.freeze({
  headMs: 10_000,
  bodyIdleMs: 15_000,
  minBodyRate: 240,
  keepAliveMs: 75_000,
  sendMs: 90_000,
  minSendRate: 240,
  stopGraceMs: 100,
  settingsAckMs: 10_000,
});

function http2Sizes(limits: Http2Limits): Http2Sizes {
  const { settingsAckMs: _ack, headMs: _head, sendMs: _send, ...sizes } = limits;
  return sizes;
}

/** What the core of HTTP/2 is given of both tables. */
export function http2Limits(limits: Limits, deadlines: Deadlines): Http2Limits {
  const { settingsAckMs, headMs, sendMs } = deadlines;
  return {
    ...limits,
    settingsAckMs: orNever(settingsAckMs),
    headMs: orNever(headMs),
    sendMs: orNever(sendMs),
  };
}

/** A deadline of 0 is none. */
export function orNever(ms: number): number {
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}

/**
 * `defaults` with what `given` names in their place.
 *
 * @param where what was given the options, as its caller calls it.
 * @throws UsageError for an unknown name or a bad number.
 */
export function withOverrides<Options extends object>(
  where: string,
  defaults: Options,
  given: Overrides<Options>,
): Options {
  checkNames(where, given, Object.keys(defaults));
  const merged: Record<string, number> = { ...(defaults as Record<string, number>) };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (typeof value !== "number" || !(value >= 0)) {
      throw new UsageError(`${name} must be a number, at least 0, got ${shown(value)}`);
    }
    merged[name] = value;
  }
  return Object.freeze(merged) as Options;
}

/**
 * User messages that may wait for the loop of a WebSocket or a streamed response unless its options say otherwise. One
 * more ends it, as by a failure: to drop some in silence is for the application to choose.
 */
export const defaultMaxMailbox: number = 1_000;
