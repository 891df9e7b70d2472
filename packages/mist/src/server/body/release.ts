// Letting go of what produces a body.

/** What an iterable may offer before anybody has iterated over it: a generator, a Node stream, a web stream. */
interface Releasable {
  return?(value: undefined): unknown;
  destroy?(): unknown;
  cancel?(): unknown;
}

/** Lets go of an iterable nobody has begun to read. A generator that was never started runs none of its code. */
export function releaseIterable(chunks: object): void {
  const held = chunks as Releasable;
  if (typeof held.return === "function") quietly(() => held.return?.(undefined));
  else if (typeof held.destroy === "function") quietly(() => held.destroy?.());
  else if (typeof held.cancel === "function") quietly(() => held.cancel?.());
}

/** Calls `release`. What a producer throws while it is let go of has no hearer left: its response is over. */
export function quietly(release: () => unknown): void {
  try {
    Promise.resolve(release()).catch(() => {});
  } catch {
    // A synchronous producer throws here instead.
  }
}
