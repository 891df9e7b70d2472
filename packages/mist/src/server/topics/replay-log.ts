// The last messages of a topic, for members that come back.
//
// Bounded in messages and bytes. Remembers, for each publisher, the newest message that it has let go of: so it knows
// whether it holds everything that somebody has missed.

import type { Message } from "./message.ts";
import { type Position, windowUs } from "./position.ts";

/** How much a log keeps. */
export interface LogLimits {
  readonly messages: number;
  readonly bytes: number;
}

/** The bytes of all logs of one set of topics. */
export interface LogTotal {
  bytes: number;
}

export class ReplayLog {
  readonly #limits: LogLimits;
  readonly #total: LogTotal;
  /** Oldest first. */
  #messages: Message[] = [];
  #bytes = 0;
  /** The newest time let go of, by publisher. */
  readonly #gone = new Map<string, number>();
  #newestGone = 0;
  /** Of what was said before, nothing is known. */
  #since: number;

  constructor(limits: LogLimits, total: LogTotal, since: number) {
    this.#limits = limits;
    this.#total = total;
    this.#since = since;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  add(message: Message): void {
    this.#messages.push(message);
    this.#count(message.size);
    while (this.#messages.length > this.#limits.messages || this.#bytes > this.#limits.bytes) this.dropOldest();
  }

  /** Puts what an engine has kept before what has come since. */
  fill(older: readonly Message[]): void {
    const messages = [...older, ...this.#messages];
    const [oldest] = older;
    if (oldest !== undefined) this.#since = Math.min(this.#since, oldest.time);
    for (const message of older) this.#count(message.size);
    this.#messages = messages;
    while (this.#messages.length > this.#limits.messages || this.#bytes > this.#limits.bytes) this.dropOldest();
  }

  /** Something may have been said at that time, or before, that was not heard. */
  hole(time: number): void {
    this.#since = Math.max(this.#since, time);
  }

  dropOldest(): void {
    const oldest = this.#messages.shift();
    if (oldest === undefined) return;
    const { origin, time, size } = oldest;
    this.#count(-size);
    this.#newestGone = Math.max(this.#newestGone, time);
    this.#gone.delete(origin);
    this.#gone.set(origin, time);
    // What is older than the window before the newest cannot be told from heard (position.ts).
    for (const [other, at] of this.#gone) {
      if (at > this.#newestGone - windowUs) break;
      this.#gone.delete(other);
    }
  }

  clear(): void {
    this.#count(-this.#bytes);
    this.#messages = [];
  }

  /** What somebody at `position` has missed; `complete` if all of that is here. */
  after(position: Position | undefined): { readonly messages: readonly Message[]; readonly complete: boolean } {
    if (position === undefined) return { messages: [], complete: false };
    const messages = this.#messages.filter(({ origin, time }) => !position.covers(origin, time));
    let complete = position.latest >= this.#since;
    for (const [origin, time] of this.#gone) complete &&= position.covers(origin, time);
    return { messages, complete };
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#total.bytes += bytes;
  }
}
