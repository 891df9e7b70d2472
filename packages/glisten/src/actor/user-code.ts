// The one place where a failure of user code stops.
//
// A callback whose outcome nothing depends on (`onClose`, `onError`, a subscriber, an event listener) is called through
// {@link callUser}: a throw or a rejection is reported once, and nothing else happens.

import { inspect } from "node:util";
import { ignore, UsageError } from "../errors.ts";

/** Whether a value is a promise, or anything else with a `then`. Throws only what a getter named `then` throws. */
export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === "object" || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

/** Reports a failure that has no reporter, or whose reporter failed: as a process warning. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : inspect(error));
}

/**
 * Calls user code with one argument. A throw or a rejection goes to `report`, once (default: a process warning); should
 * `report` fail as well, that second failure becomes a process warning. Never throws. Returns a promise if `run` does;
 * it never rejects.
 */
export function callUser<Argument>(
  run: (argument: Argument) => unknown,
  argument: Argument,
  report: (error: unknown) => unknown = warn,
): undefined | Promise<void> {
  try {
    const result = run(argument);
    if (result === undefined) return undefined;
    if (!isPromiseLike(result)) return undefined;
    // A thenable of the user's may throw from `then`, or settle twice: `resolve` sees to both.
    return Promise.resolve(result).then(ignore, (error: unknown) => reportFailure(report, error));
  } catch (error) {
    reportFailure(report, error);
    return undefined;
  }
}

/**
 * Refuses a promise where an answer is wanted at once. What becomes of the promise harms nobody.
 *
 * @throws UsageError
 */
export function refusePromise(role: string, answer: unknown): void {
  if (!isPromiseLike(answer)) return;
  void callUser(() => answer, undefined, ignore);
  throw new UsageError(`${role} must answer at once, got a promise`);
}

/** A promise for one who may look at it late or never: its rejection alone does not end the process. */
export function harmless<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(ignore);
  return promise;
}

function reportFailure(report: (error: unknown) => unknown, error: unknown): void {
  if (report === warn) warn(error);
  else void callUser(report, error);
}

/**
 * Throws an error of glisten's own as an uncaught exception, off the caller's stack. Failures of user code go through
 * {@link callUser} instead.
 */
export function raiseUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
