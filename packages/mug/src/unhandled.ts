// What must not end the process: a rejection nobody looks at, and a user's callback that fails.

/** Marks a promise as handled: whoever awaits it still gets its rejection, and an ignored one does no harm. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}

/** A handled rejection. */
export function rejected(error: Error): Promise<never> {
  return handled(Promise.reject(error));
}

function ignore(): void {}

/** Calls user code. If it throws or rejects, the process gets one warning and the socket carries on. */
export function callUser(what: string, callback: () => unknown): void {
  const report = (error: unknown): void => {
    const detail = error instanceof Error ? error.stack : undefined;
    process.emitWarning(`${what} failed: ${error instanceof Error ? error.message : String(error)}`, {
      type: "MugCallbackWarning",
      ...(detail === undefined ? {} : { detail }),
    });
  };
  try {
    const result = callback();
    if (typeof result === "object" && result !== null && "then" in result) {
      Promise.resolve(result).catch(report);
    }
  } catch (error) {
    report(error);
  }
}
