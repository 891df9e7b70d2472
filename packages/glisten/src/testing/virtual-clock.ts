// A clock that stands still until it is told to go on.
//
// Timers run in the order in which they are due, those due at one instant in the order in which they were set. Between
// two of them the event loop turns, so that promises settle and what the sockets of this process have sent arrives. The
// loop's turns are real ones: sockets and virtual time mix.

import { setTimeout as realTimeout, setImmediate as realTurn } from "node:timers";
import { type Clock, type Timer, useClock } from "../clock.ts";
import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { longestTimerMs } from "../option-values.ts";

/** Where a virtual clock begins. */
export interface VirtualClockOptions {
  /** The time of day: a Date, or milliseconds since the epoch. Default: the real time at the call. */
  readonly wallTime?: number | Date | undefined;
}

/** A timer that waits in a virtual clock. */
export interface PendingTimer {
  /** The instant at which it is due, on the scale of `now()`. */
  readonly at: number;
  /** Whether it is one that lets the process end. */
  readonly isUnref: boolean;
  /** The line of the stack that set it, such as `Heartbeat.watch (…/heartbeat.ts:42:5)`. */
  readonly setBy: string;
}

/** `now()` at the start: not 0, which much code takes for "never". */
const startsAt = 1_000;
/** Turns of the event loop before time goes on. */
const shortTurns = 2;
/** What sockets do takes turns; a leap over a longer time gives them more. */
const longTurns = 10;
const longLeapMs = 200;
/** Code that asks for this many turns in a row will go on asking. */
const mostTurns = 10_000;

/**
 * Makes a clock that stands still, and has glisten, and mist on it, take time and timers from it until it is disposed
 * of. Timers of your own code, such as `setTimeout`, stay real unless they are set with this clock.
 *
 * ```ts
 * using clock = virtualClock();
 * const counter = await startCounter();
 * const late = call(counter.subject, askForNothing, 5_000);
 * await clock.advance(5_000); // takes no time
 * await assert.rejects(late, { reason: "timeout" });
 * ```
 *
 * Start servers and actors after it, and end them before you dispose of it: a timer belongs to the clock it was set
 * with. Throws a UsageError while another clock is in use.
 */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  return new ManualClock(options);
}

/** A clock that goes on when it is told to; see {@link virtualClock}. */
export interface VirtualClock extends Clock, Disposable {
  /** The timers that wait, the next one first. */
  readonly pendingTimers: readonly PendingTimer[];
  /** The instant at which the next timer is due, on the scale of `now()`; undefined when none waits. */
  readonly nextTimerAt: number | undefined;
  /**
   * Lets `ms` milliseconds pass. Resolves when all timers that are due have run and the event loop has come to rest.
   * Rejects with what a timer throws, at the instant of that timer.
   *
   * It waits for promises and for sockets whose both ends are in this process. It cannot tell that something else is
   * under way, such as a file being read, a thread, or another process: await that first.
   */
  advance(ms: number): Promise<void>;
  /**
   * Lets time pass until no timer waits. Resolves with the milliseconds that took. Rejects when timers still wait
   * after `withinMs`, which is a day by default: a heartbeat never ends.
   */
  runUntilIdle(withinMs?: number): Promise<number>;
  /**
   * Lets time pass until `promise` settles, and settles as it does: `await clock.until(server.stop())`. Disposing of a
   * server, an actor or a socket of mug's does so by itself.
   */
  until<Value>(promise: Promise<Value>): Promise<Value>;
  /**
   * Goes to the instant at which the next timer is due, and runs that one timer. Returns false when none waits. The event
   * loop does not turn: see `settle`.
   */
  runNext(): boolean;
  /** Lets the event loop turn until nothing has asked for another turn; time stands still. */
  settle(): Promise<void>;
}

class ManualTimer implements Timer {
  readonly run: () => void;
  readonly at: number;
  readonly order: number;
  readonly setAt: Error;
  isUnref = false;

  constructor(run: () => void, at: number, order: number, setAt: Error) {
    this.run = run;
    this.at = at;
    this.order = order;
    this.setAt = setAt;
  }

  unref(): void {
    this.isUnref = true;
  }
}

class ManualClock implements VirtualClock {
  readonly #epoch: number;
  readonly #timers: Set<ManualTimer> = new Set();
  readonly #use: Disposable;
  #now = startsAt;
  #order = 0;
  /** Turns that were asked for and have not come yet. */
  #turns = 0;
  #advancing = false;
  #next: ManualTimer | undefined = undefined;

  constructor({ wallTime = Date.now() }: VirtualClockOptions) {
    const epoch = Number(wallTime);
    if (!Number.isFinite(epoch)) {
      throw new UsageError(`wallTime must be a Date or a number of milliseconds, got ${shown(wallTime)}`);
    }
    this.#epoch = epoch - startsAt;
    this.#use = useClock(this);
  }

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return Math.floor(this.#epoch + this.#now);
  }

  setTimer(run: () => void, ms: number): Timer {
    // Node, too, takes what it cannot count for 1 ms.
    const delay = ms >= 1 && ms <= longestTimerMs ? ms : 1;
    const timer = new ManualTimer(run, this.#now + delay, this.#order++, new Error("set here"));
    this.#timers.add(timer);
    if (this.#next !== undefined && timer.at < this.#next.at) this.#next = timer;
    return timer;
  }

  clearTimer(timer: Timer | undefined): void {
    if (timer instanceof ManualTimer) this.#remove(timer);
    // Set before this clock was in use.
    else clearTimeout(timer as NodeJS.Timeout | undefined);
  }

  nextTurn(run: () => void): void {
    this.#turns += 1;
    realTurn(() => {
      this.#turns -= 1;
      run();
    });
  }

  get pendingTimers(): readonly PendingTimer[] {
    return [...this.#timers]
      .sort((one, other) => one.at - other.at || one.order - other.order)
      .map(({ at, isUnref, setAt }) => ({ at, isUnref, setBy: callerIn(setAt) }));
  }

  get nextTimerAt(): number | undefined {
    return this.#earliest()?.at;
  }

  async advance(ms: number): Promise<void> {
    if (typeof ms !== "number" || !(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      throw new UsageError(`advance takes a number of milliseconds, at least 0, got ${shown(ms)}`);
    }
    await this.#runUntil(this.#now + ms);
    await this.settle();
  }

  async runUntilIdle(withinMs = 86_400_000): Promise<number> {
    const start = this.#now;
    await this.#runUntil(start + withinMs, true);
    const left = this.pendingTimers;
    if (left.length === 0) return this.#now - start;
    const list = left.map(({ at, setBy }) => `in ${at - this.#now} ms: ${setBy}`);
    throw new Error(`timers still wait after ${withinMs} ms:\n${list.join("\n")}`);
  }

  runNext(): boolean {
    const timer = this.#earliest();
    if (timer === undefined) return false;
    this.#remove(timer);
    this.#now = timer.at;
    timer.run();
    return true;
  }

  async until<Value>(promise: Promise<Value>): Promise<Value> {
    let waiting = true;
    const settled = (): void => {
      waiting = false;
    };
    promise.then(settled, settled);
    while (waiting) {
      await this.#rest(Number.POSITIVE_INFINITY);
      if (!waiting) break;
      // With nothing to run it is the outside world that is waited for.
      if (this.#advancing || !this.runNext()) await new Promise((resolve) => realTimeout(resolve, 1));
    }
    return promise;
  }

  settle(): Promise<void> {
    return this.#turn(longTurns);
  }

  [Symbol.dispose](): void {
    this.#timers.clear();
    this.#next = undefined;
    this.#use[Symbol.dispose]();
  }

  async #runUntil(end: number, untilIdle = false): Promise<void> {
    if (this.#advancing) throw new UsageError("the clock is being advanced already: await that first");
    this.#advancing = true;
    try {
      for (;;) {
        await this.#rest(end);
        const next = this.nextTimerAt; // another one, perhaps
        if (next === undefined || next > end) break;
        this.runNext();
      }
      if (!untilIdle) this.#now = end;
    } finally {
      this.#advancing = false;
    }
  }

  /** What comes before time goes on, to `end` if no timer is due. */
  #rest(end: number): Promise<void> {
    const leap = (this.nextTimerAt ?? end) - this.#now;
    return this.#turn(leap > longLeapMs ? longTurns : shortTurns);
  }

  /** Lets the event loop turn until nobody has asked for it `quiet` times in a row. */
  async #turn(quiet: number): Promise<void> {
    for (let turns = 0, rest = quiet; rest > 0; rest = this.#turns > 0 ? quiet : rest - 1) {
      if (turns++ === mostTurns) throw new Error(`the event loop has not come to rest in ${mostTurns} turns`);
      await new Promise((resolve) => realTurn(resolve));
    }
  }

  #earliest(): ManualTimer | undefined {
    if (this.#next === undefined) {
      for (const timer of this.#timers) {
        // A set keeps the order in which timers were set.
        if (this.#next === undefined || timer.at < this.#next.at) this.#next = timer;
      }
    }
    return this.#next;
  }

  #remove(timer: ManualTimer): void {
    this.#timers.delete(timer);
    if (this.#next === timer) this.#next = undefined;
  }
}

/** The first line of the stack beyond the functions that pass a timer on. */
function callerIn(error: Error): string {
  const lines = error.stack?.split("\n").slice(1) ?? [];
  const line = lines.find((one) => !/\bat (\w+\.)?(setTimer|after|within)\b/.test(one));
  return line?.trim().replace(/^at /, "") ?? "unknown";
}
