// Letting go of what produces a body.

import { callUser } from "@x/glisten/kit";

/** What an iterable may offer before anybody has iterated over it: a generator, a Node stream, a web stream. */
interface Releasable {
  return?(value: undefined): unknown;
  destroy?(): unknown;
  cancel?(): unknown;
}

/**
 * Lets go of an iterable nobody has begun to read. A generator that was never started runs none of its code. A failure
 * goes to `report`.
 */
export function releaseIterable(chunks: object, report: (error: unknown) => void): void {
  void callUser(release, chunks as Releasable, report);
}

function release(held: Releasable): unknown {
  if (typeof held.return === "function") return held.return(undefined);
  if (typeof held.destroy === "function") return held.destroy();
  return typeof held.cancel === "function" ? held.cancel() : undefined;
}
