// Checks that every function with options shares: a misspelt name would be ignored in silence.

import { UsageError } from "./errors.ts";

/**
 * Refuses what is not an object, and names that are none of these.
 *
 * @param where what was given the options, as its caller calls it.
 * @throws UsageError
 */
export function checkNames(where: string, options: unknown, names: readonly string[]): void {
  checkObject(where, options);
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new UsageError(
      `${where} has no option ${JSON.stringify(name)}; there ${names.length > 1 ? "are" : "is"} ${names.join(", ")}`,
    );
  }
}

/** Refuses options that are not an object. @throws UsageError */
export function checkObject(where: string, options: unknown): asserts options is object {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new UsageError(`the options of ${where} must be an object, got ${shown(options)}`);
  }
}

/** Refuses what is not a function. @throws UsageError */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== "function") throw new UsageError(`${name} must be a function, got ${shown(value)}`);
}

/** Refuses options of these names that are not functions; `optional` ones may be undefined. @throws UsageError */
export function checkFunctions(
  options: object,
  required: readonly string[],
  optional: readonly string[] = [],
): void {
  const given = options as Readonly<Record<string, unknown>>;
  for (const name of required) checkFunction(name, given[name]);
  for (const name of optional) if (given[name] !== undefined) checkFunction(name, given[name]);
}

/** A value as an error text shows it: short, with strings in quotes, and nothing of what an object holds. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  const name = (value as { readonly constructor?: { readonly name?: unknown } }).constructor?.name;
  return typeof name === "string" && name !== "" && name !== "Object"
    ? `an object of class ${name}`
    : "an object";
}
