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

/** What a message costs besides its own bytes, about. */
const overhead = 128;

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
  #newest = 0;
  #filledUpTo = 0;
  /** How many at the front were not heard since the log goes without a break. */
  #notLive = 0;

  constructor(limits: LogLimits, total: LogTotal, since: number) {
    this.#limits = limits;
    this.#total = total;
    this.#since = since;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  /** Whoever has heard up to here has missed nothing. */
  get reach(): number {
    return Math.max(this.#newest, this.#since);
  }

  add(message: Message): void {
    // A relay may bring again what the engine has kept.
    if (message.time <= this.#filledUpTo && this.#has(message)) return;
    this.#messages.push(message);
    this.#count(message.size + overhead);
    this.#newest = Math.max(this.#newest, message.time);
    this.#bound();
  }

  /** Puts what an engine has kept, oldest first, before what has come since. */
  fill(kept: readonly Message[]): void {
    const older = kept.filter((message) => !this.#has(message));
    for (const { size, time } of older) {
      this.#count(size + overhead);
      this.#newest = Math.max(this.#newest, time);
    }
    this.#messages = [...older, ...this.#messages];
    this.#notLive += older.length;
    this.#filledUpTo = this.#newest;
    const [oldest] = kept;
    if (oldest !== undefined) this.#since = Math.min(this.#since, oldest.time);
    this.#bound();
  }

  /** From now on nothing is missed. */
  begin(time: number): void {
    this.#since = Math.min(this.#since, time);
  }

  #has({ origin, time }: Message): boolean {
    return this.#messages.some((other) => other.time === time && other.origin === origin);
  }

  #bound(): void {
    const { messages, bytes } = this.#limits;
    while (this.#messages.length > messages || this.#bytes > bytes) this.dropOldest();
  }

  /** Something may have been said at that time, or before, that was not heard. */
  hole(time: number): void {
    this.#since = Math.max(this.#since, time);
    this.#notLive = this.#messages.length;
  }

  dropOldest(): void {
    const oldest = this.#messages.shift();
    if (oldest === undefined) return;
    if (this.#notLive > 0) this.#notLive--;
    const { origin, time, size } = oldest;
    this.#count(-size - overhead);
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
    this.#notLive = 0;
  }

  /** What somebody at `position` has missed; `complete` if all of that is here. */
  after(position: Position | undefined): {
    readonly messages: readonly Message[];
    readonly complete: boolean;
  } {
    if (position === undefined) return { messages: [], complete: false };
    const messages = this.#messages.filter(({ origin, time }) => !position.covers(origin, time));
    let complete = position.latest >= this.#since || this.#wasThere(position);
    for (const [origin, time] of this.#gone) complete &&= position.covers(origin, time);
    return { messages, complete };
  }

  /** Whether something was heard here that the position names: then what came behind it was heard as well. */
  #wasThere(position: Position): boolean {
    return this.#messages.some(({ origin, time }, at) => at >= this.#notLive && position.names(origin, time));
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#total.bytes += bytes;
  }
}
