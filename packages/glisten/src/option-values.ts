// Checks of option values.

/** Says what a value must be, as the words behind "must be"; undefined: it is valid. */
export type Check<Value = unknown> = (value: Value) => string | undefined;

/** The longest time a timer of Node's can be set for, in milliseconds; a longer one fires at once. */
export const longestTimerMs: number = 2 ** 31 - 1;

/** An integer in a range, both ends included. */
export function integer(least: number, most: number): Check {
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `an integer from ${least} to ${most}`;
}

export const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
