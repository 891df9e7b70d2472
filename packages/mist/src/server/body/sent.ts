// What sending answers with: promises that resolve when the peer has caught up, and that nobody need look at.

/** What `send` returns while the peer keeps up: one promise for all, so that a sender can tell by identity. */
export const SENT: Promise<void> = Promise.resolve();

/** Rejects. Whoever sends without awaiting does not want to hear of it. */
export function refused(error: unknown): Promise<void> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

/** A promise and what settles it. */
export interface Waiter {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

/** A promise to be settled later, as silent as {@link refused}. */
export function newWaiter(): Waiter {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
}

function ignore(): void {}
