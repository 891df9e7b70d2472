// What values of options must be.

/** What is wrong with a value, as the words that follow "must be"; undefined: nothing. */
export type Check<Value = unknown> = (value: Value) => string | undefined;

/** An integer in a range, both ends included. */
export function integer(least: number, most: number): Check {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `an integer from ${least} to ${most}`;
}

export const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
