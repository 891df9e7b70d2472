// Positions: how far a member has heard, as an id that any process can read.
//
// Every publisher stamps its messages with a time of its own that only grows: a hybrid logical clock, microseconds of the
// wall clock but never behind what has been heard from others. A position names, for each publisher that was heard of
// lately, the time of its last message. So another process, which may have heard the same messages in another order,
// still knows exactly which of them this member has had.
//
// A publisher that a position does not name had been silent for `windowUs` when the position was taken, so what it said
// before that is taken for heard. Without this rule ids would name every process there has ever been.

/** Publishers silent for longer are not named; messages may overtake each other by less. Microseconds. */
export const windowUs = 10_000_000;

/**
 * How far the clocks of two machines are taken to be apart, where nothing better than their clocks says whether a
 * message was published before a subscription or behind it. Microseconds.
 */
export const clockSkewUs = 1_000_000;

/** A publisher: 48 random bits in base64url. */
const origin = /^[A-Za-z0-9_-]{8}$/;
const time = /^[0-9a-z]{1,11}$/;
/** More than these are not read, and not written. */
const maxPublishers = 64;

/** How far somebody has heard. */
export class Position {
  readonly #times: ReadonlyMap<string, number>;
  /** The newest time of all. */
  readonly latest: number;

  constructor(times: ReadonlyMap<string, number>) {
    this.#times = times;
    this.latest = Math.max(0, ...times.values());
  }

  /** The position that an id stands for; undefined if it is none. Ids come from clients. */
  static parse(id: string): Position | undefined {
    const parts = id.split("~", maxPublishers + 1);
    if (parts.length > maxPublishers) return undefined;
    const times = new Map<string, number>();
    for (const part of parts) {
      const [by = "", at = "", more] = part.split(".", 3);
      if (more !== undefined || !origin.test(by) || !time.test(at)) return undefined;
      const value = Number.parseInt(at, 36);
      if (value > Number.MAX_SAFE_INTEGER) return undefined;
      times.set(by, value);
    }
    return new Position(times);
  }

  /** Whether what `by` said at that time has been heard. */
  covers(by: string, at: number): boolean {
    const heard = this.#times.get(by);
    return heard === undefined ? at <= this.latest - windowUs : at <= heard;
  }

  /** The same, without what is only taken for heard. */
  names(by: string, at: number): boolean {
    return at <= (this.#times.get(by) ?? -1);
  }

  /** Whether everything that `other` has heard is heard here, too. */
  includes(other: Position): boolean {
    for (const [by, at] of other.#times) if (!this.covers(by, at)) return false;
    return true;
  }

  /** This, and a message of `by` as well. */
  and(by: string, at: number): Position {
    return this.covers(by, at) ? this : new Position(new Map(this.#times).set(by, at));
  }

  /** What either has heard. */
  with(other: Position): Position {
    const times = new Map(this.#times);
    for (const [by, at] of other.#times) times.set(by, Math.max(at, times.get(by) ?? 0));
    return new Position(times);
  }

  /** The id. */
  toString(): string {
    return Array.from(this.#times, ([by, at]) => `${by}.${at.toString(36)}`).join("~");
  }
}

/** What a process has heard from whom, and the clock that it stamps its own messages with. */
export class Heard {
  /** This process. */
  readonly self: string;
  readonly #wallClock: () => number;
  /** In the order they were last heard of. */
  readonly #times = new Map<string, number>();
  #clock = 0;
  #position: Position | undefined;

  /** `wallClock` is in milliseconds. */
  constructor(self: string, wallClock: () => number) {
    this.self = self;
    this.#wallClock = wallClock;
  }

  /** The time for the next message: later than all before. */
  tick(): number {
    this.#clock = Math.max(this.#clock + 1, Math.floor(this.#wallClock() * 1000));
    return this.#clock;
  }

  /** Where the clock stands. */
  get now(): number {
    return Math.max(this.#clock, Math.floor(this.#wallClock() * 1000));
  }

  /** A message of `by` has been handed out. */
  note(by: string, at: number): void {
    this.#clock = Math.max(this.#clock, at);
    if (at <= (this.#times.get(by) ?? 0)) return;
    this.#times.delete(by);
    this.#times.set(by, at);
    this.#position = undefined;
  }

  /** What has been heard so far. */
  get position(): Position {
    this.#position ??= this.#take();
    return this.#position;
  }

  #take(): Position {
    for (const [by, at] of this.#times) {
      if (at > this.#clock - windowUs && this.#times.size <= maxPublishers) continue;
      if (by !== this.self && this.#times.size > 1) this.#times.delete(by);
    }
    return new Position(new Map(this.#times));
  }
}
