// Waiting for something with a timeout and an AbortSignal.
//
// Whichever comes first wins, once, and leaves no timer and no listener behind.

import { clock } from "../clock.ts";
import { DeadlineError, UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { longestTimerMs } from "../option-values.ts";

/** How long to wait. Without either: as long as it takes. */
export interface WaitOptions {
  /** Milliseconds; 0 asks whether it is there now. Rejects a DeadlineError (`code: "timeout"`). */
  readonly timeout?: number | undefined;
  /** Rejects the signal's reason when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** Settles a wait. A second call of either does nothing. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * Waits.
 *
 * @param what names the wait in a DeadlineError.
 * @param begin registers the waiter and returns how to withdraw it, called after a timeout or an abort.
 */
export function wait<T>(
  what: string,
  options: WaitOptions,
  begin: (waiter: Waiter<T>) => () => void,
): Promise<T> {
  const { timeout, signal } = options;
  checkTimeout(timeout);
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const giveUp = (error: unknown) => {
      settle();
      cancel();
      reject(error);
    };
    const onAbort = () => giveUp(signal!.reason);
    const stopTimer = startTimer(timeout, () => giveUp(new DeadlineError(what, timeout)));
    const settle = () => {
      stopTimer();
      signal?.removeEventListener("abort", onAbort);
    };
    signal?.addEventListener("abort", onAbort);
    const cancel = begin({
      resolve: (value) => {
        settle();
        resolve(value);
      },
      reject: (error) => {
        settle();
        reject(error);
      },
    });
  });
}

function startTimer(timeout: number | undefined, passed: () => void): () => void {
  if (timeout === undefined || timeout === Number.POSITIVE_INFINITY) return () => {};
  if (timeout === 0) return afterOnePoll(passed);
  const timer = clock.setTimer(passed, timeout);
  return () => clock.clearTimer(timer);
}

/** Between two immediates Node polls the sockets once: what has arrived already is seen. */
function afterOnePoll(passed: () => void): () => void {
  let waiting = true;
  clock.nextTurn(() => clock.nextTurn(() => waiting && passed()));
  return () => {
    waiting = false;
  };
}

function checkTimeout(timeout: number | undefined): void {
  if (timeout === undefined || timeout === Number.POSITIVE_INFINITY) return;
  if (timeout >= 0 && timeout <= longestTimerMs) return;
  throw new UsageError(
    `timeout must be a number from 0 to ${longestTimerMs}, or Infinity, got ${shown(timeout)}`,
  );
}
