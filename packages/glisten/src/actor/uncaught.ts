/** An error that has no one left to tell. */

/**
 * Raises an error where the process looks for uncaught exceptions, away from the stack of whoever happened to
 * be calling: a listener's mistake must not become its sender's failure.
 */
export function raiseUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
