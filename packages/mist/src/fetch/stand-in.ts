// Classes that stand in the place of a global one.

type Class = abstract new (...args: never[]) => unknown;

/**
 * Has `instanceof standIn` hold for every instance of `native` as well: `fetch` and Node's own code go on making
 * those. Subclasses of the stand-in judge for themselves.
 */
export function standInFor(native: Class, standIn: Class): void {
  Object.defineProperty(standIn, Symbol.hasInstance, {
    value(this: Class, value: unknown): boolean {
      return this === standIn
        ? value instanceof native
        : Function.prototype[Symbol.hasInstance].call(this, value);
    },
    configurable: true,
  });
  Object.defineProperty(standIn, "name", { value: native.name, configurable: true });
}
