// Timers that take Infinity.

import { clock, type Timer } from "../clock.ts";
import { longestTimerMs } from "../option-values.ts";

/**
 * Like `setTimeout`, but never fires when the delay is infinite or longer than a timer can be set for (24 days).
 */
export function after(ms: number, run: () => void): Timer | undefined {
  return ms > longestTimerMs ? undefined : clock.setTimer(run, Math.max(0, ms));
}

/**
 * Resolves with what `promise` resolves to, or with `undefined` after `ms`, or with `undefined` as soon as
 * `signal` is aborted, whichever is first. Leaves nothing behind on the signal, which may live for long.
 */
export async function within<Value>(
  promise: Promise<Value>,
  ms: number,
  signal?: AbortSignal,
): Promise<Value | undefined> {
  let timer: Timer | undefined;
  let give = (): void => {};
  const late = new Promise<undefined>((resolve) => {
    give = (): void => resolve(undefined);
    timer = after(ms, give);
  });
  if (signal?.aborted) give();
  else signal?.addEventListener("abort", give);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clock.clearTimer(timer);
    signal?.removeEventListener("abort", give);
  }
}
