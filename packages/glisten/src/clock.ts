// The one source of time and timers. Real, unless a test has put another clock in its place (`@x/glisten/testing`).
//
// Two things stay on the real clock: `cluster`, which waits for other processes of the operating system, and the timers
// inside Node, such as those of the name lookup.

import { performance } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers";
import { UsageError } from "./errors.ts";

/** A timer that has been set. */
export interface Timer {
  /** Lets the process end while this timer waits. */
  unref(): unknown;
}

/** Where time comes from. Durations and instants are in milliseconds. */
export interface Clock {
  /** An instant that never goes backwards, from an arbitrary start above 0. */
  now(): number;
  /** Milliseconds since the epoch, as `Date.now()` gives them. */
  wallTime(): number;
  /** Calls `run` once, in `ms` milliseconds, as `setTimeout` does. */
  setTimer(run: () => void, ms: number): Timer;
  /** Forgets a timer. Ignores undefined, timers that have run, and those of another clock. */
  clearTimer(timer: Timer | undefined): void;
  /** Calls `run` once the event loop has polled the sockets, as `setImmediate` does. */
  nextTurn(run: () => void): void;
  /** Settles as `promise` does. A clock that stands still goes on meanwhile: what is disposed of must not wait for ever. */
  until<Value>(promise: Promise<Value>): Promise<Value>;
}

/** The clock of the machine, whatever clock is in use: for work that the machine is to be spared. */
export const realClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
  // Not the global: test runners replace that to fake time, and a turn is none.
  nextTurn: (run) => void turn(run),
  until: (promise) => promise,
};

let current: Clock = realClock;
const caches: (() => void)[] = [];

/** The clock in use. */
export const clock: Clock = {
  now: () => current.now(),
  wallTime: () => current.wallTime(),
  setTimer: (run, ms) => current.setTimer(run, ms),
  clearTimer: (timer) => current.clearTimer(timer),
  nextTurn: (run) => current.nextTurn(run),
  until: (promise) => current.until(promise),
};

/** Resolves in the next turn of the event loop. */
export function oneTurn(): Promise<void> {
  return new Promise((resolve) => current.nextTurn(resolve));
}

/** Calls `forget` when another clock takes over: for what a module remembers of the time. */
export function whenClockChanges(forget: () => void): void {
  caches.push(forget);
}

/**
 * Has glisten and mist take time and timers from `other` until the result is disposed of. A timer belongs to the clock
 * it was set with: start servers and actors afterwards, and end them before. Throws a UsageError while another clock is
 * in use.
 */
export function useClock(other: Clock): Disposable {
  if (current !== realClock) throw new UsageError("another clock is in use: dispose of it first");
  replaceBy(other);
  return {
    [Symbol.dispose]: () => {
      if (current === other) replaceBy(realClock);
    },
  };
}

function replaceBy(other: Clock): void {
  current = other;
  for (const forget of caches) forget();
}
