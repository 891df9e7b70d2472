// The asynchronous context of a request that somebody observes: what AsyncLocalStorage holds while its handler runs.
//
// Promises carry it by themselves. Loops do not: their messages come from a socket, or from other actors. So loops that
// begin while a context is entered have their functions bound to it. Requests that nobody observes take no part in this.

import { AsyncLocalStorage } from "node:async_hooks";

/** Calls a function in the context of a request. */
export type Enter = <Result, Arguments extends unknown[]>(
  run: (...given: Arguments) => Result,
  ...given: Arguments
) => Result;

let entered: Enter | undefined;

/** The context of this call. */
export function currentContext(): Enter {
  return AsyncLocalStorage.snapshot() as Enter;
}

/** Calls `run` in a context, and has the loops that begin meanwhile stay there. */
export function within(enter: Enter, run: () => void): void {
  call(enter, run, enter);
}

/** Calls `run`, which has nothing to do with the context that is entered, in another. */
export function leave(to: Enter, run: () => void): void {
  call(to, run, undefined);
}

function call(enter: Enter, run: () => void, next: Enter | undefined): void {
  const before = entered;
  entered = next;
  try {
    enter(run);
  } finally {
    entered = before;
  }
}

/** The named functions of a loop that begins now: bound to the context that is entered, or as they are. */
export function inEnteredContext<Functions extends object>(
  functions: Functions,
  names: readonly (keyof Functions)[],
): Functions {
  const enter = entered;
  if (enter === undefined) return functions;
  const bound: Partial<Record<keyof Functions, unknown>> = {};
  for (const name of names) {
    const value: unknown = functions[name];
    if (typeof value === "function")
      bound[name] = (...given: unknown[]) => enter(() => value.apply(functions, given));
  }
  return bound as Functions;
}
