// Server-sent events as text (WHATWG HTML §9.2.5–9.2.6).
//
// A line ends with CR, LF or CRLF, so data with any of them becomes several `data` lines, which the client joins with
// LF; an id or a name cannot hold one. An id with NUL would be ignored by the client: it is refused here.

import { shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";

/** An event to be sent. Immutable: the setters give new events. Made by {@link event}. */
export class ServerSentEvent {
  /** What the client's listener gets. */
  readonly data: string;
  /** What the client names when it comes back, in `Last-Event-ID`. Undefined: the id before stays. */
  readonly id: string | undefined;
  /** Which listener gets it. Undefined: `message`. */
  readonly name: string | undefined;
  /** How long the client waits before it comes back; milliseconds. Undefined: as before. */
  readonly retry: number | undefined;

  /** @internal Use {@link event}. */
  constructor(data: string, id: string | undefined, name: string | undefined, retry: number | undefined) {
    this.data = data;
    this.id = id;
    this.name = name;
    this.retry = retry;
  }

  /** This event with an id. @throws UsageError if it holds CR, LF or NUL */
  eventId(id: string): ServerSentEvent {
    if (typeof id !== "string" || /[\r\n\0]/.test(id)) {
      throw new UsageError(
        `an event id must be text without CR, LF and NUL (WHATWG HTML §9.2.6), got ${shown(id)}`,
      );
    }
    return new ServerSentEvent(this.data, id, this.name, this.retry);
  }

  /** This event with a name. @throws UsageError if it holds CR or LF */
  eventName(name: string): ServerSentEvent {
    if (typeof name !== "string" || /[\r\n]/.test(name)) {
      throw new UsageError(
        `an event name must be text without CR and LF (WHATWG HTML §9.2.5), got ${shown(name)}`,
      );
    }
    return new ServerSentEvent(this.data, this.id, name, this.retry);
  }

  /** This event with a reconnection time in milliseconds. @throws UsageError unless it is an integer from 0 */
  eventRetry(ms: number): ServerSentEvent {
    return new ServerSentEvent(this.data, this.id, this.name, checkedRetry(ms));
  }
}

/**
 * An event with this data.
 *
 * @example `event("42").eventName("answer").eventId("7")`
 */
export function event(data: string): ServerSentEvent {
  if (typeof data !== "string") throw new UsageError(`an event's data must be text, got ${shown(data)}`);
  return new ServerSentEvent(data, undefined, undefined, undefined);
}

/** What an event consists of. */
export type EventFields = Pick<ServerSentEvent, "data" | "id" | "name" | "retry">;

/** The event as it goes into the stream. */
export function encodeEvent({ data, id, name, retry }: EventFields): string {
  let text = "";
  if (id !== undefined) text += `id: ${id}\n`;
  if (name !== undefined) text += `event: ${name}\n`;
  if (retry !== undefined) text += `retry: ${retry}\n`;
  // One space is the field's own: the client takes away that one and leaves the data's.
  return `${text}${prefixLines("data: ", data)}\n`;
}

/** A comment: kept by nobody, it keeps the connection alive. */
export function encodeComment(comment: string): string {
  return `${prefixLines(": ", comment)}\n`;
}

/** A reconnection time alone; the client dispatches no event. @throws UsageError unless it is an integer from 0 */
export function encodeRetry(ms: number): string {
  return `retry: ${checkedRetry(ms)}\n\n`;
}

function prefixLines(prefix: string, text: string): string {
  if (!/[\r\n]/.test(text)) return `${prefix}${text}\n`;
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => `${prefix}${line}\n`)
    .join("");
}

function checkedRetry(ms: number): number {
  // The client takes ASCII digits only: no sign, no fraction, no exponent.
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw new UsageError(`a reconnection time must be an integer of at least 0, got ${shown(ms)}`);
}
