// Timers that take Infinity.

import { longestTimerMs } from "../option-values.ts";

/**
 * Like `setTimeout`, but never fires when the delay is infinite or longer than a timer can be set for (24 days).
 */
export function after(ms: number, run: () => void): NodeJS.Timeout | undefined {
  return ms > longestTimerMs ? undefined : setTimeout(run, Math.max(0, ms));
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
  let timer: NodeJS.Timeout | undefined;
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
    clearTimeout(timer);
    signal?.removeEventListener("abort", give);
  }
}
