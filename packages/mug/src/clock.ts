// The one source of time and timers. Real, unless a test has put another clock in its place (`@x/mug/testing`).
// glisten's clocks have this shape: one of them can drive both.

import { performance } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers";
import { UsageError } from "./errors.ts";

/** A timer that has been set. */
export interface Timer {
  /** Lets the process end while this timer waits. */
  unref(): unknown;
}

/** Where time comes from, such as the `virtualClock()` of `@x/glisten/testing`. Durations and instants are in milliseconds. */
export interface Clock {
  /** An instant that never goes backwards. */
  now(): number;
  /** Calls `run` once, in `ms` milliseconds, as `setTimeout` does. */
  setTimer(run: () => void, ms: number): Timer;
  /** Forgets a timer. Ignores undefined, timers that have run, and those of another clock. */
  clearTimer(timer: Timer | undefined): void;
  /** Calls `run` once the event loop has polled the sockets, as `setImmediate` does. */
  nextTurn(run: () => void): void;
  /** Settles as `promise` does. A clock that stands still goes on meanwhile: what is disposed of must not wait for ever. */
  until<Value>(promise: Promise<Value>): Promise<Value>;
}

const realClock: Clock = {
  now: () => performance.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
  // Not the global: test runners replace that to fake time, and a turn is none.
  nextTurn: (run) => void turn(run),
  until: (promise) => promise,
};

let current: Clock = realClock;

/** The clock in use. */
export const clock: Clock = {
  now: () => current.now(),
  setTimer: (run, ms) => current.setTimer(run, ms),
  clearTimer: (timer) => current.clearTimer(timer),
  nextTurn: (run) => current.nextTurn(run),
  until: (promise) => current.until(promise),
};

/**
 * Has mug take time and timers from `other` until the result is disposed of: timeouts, head starts, the pauses of a
 * dribbling peer. A timer belongs to the clock it was set with: connect afterwards, and close before. Throws a UsageError
 * while another clock is in use.
 *
 * ```ts
 * using clock = virtualClock(); // of @x/glisten/testing
 * using driven = useClock(clock);
 * const answer = socket.receive({ timeout: 30_000 });
 * await clock.advance(30_000); // takes no time
 * await assert.rejects(answer, { code: "timeout" });
 * ```
 */
export function useClock(other: Clock): Disposable {
  if (current !== realClock) throw new UsageError("another clock is in use: dispose of it first");
  current = other;
  return {
    [Symbol.dispose]: () => {
      if (current === other) current = realClock;
    },
  };
}
