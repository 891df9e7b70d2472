/** Names of options: a misspelt one would be ignored in silence, and what it was meant to say with it. */

import { UsageError } from "./errors.ts";

/** Refuses names that are none of these. `where` is what was given the options, as its caller calls it. */
export function checkNames(where: string, options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new UsageError(
      `${where} has no option ${JSON.stringify(name)}; there ${names.length > 1 ? "are" : "is"} ${names.join(", ")}`,
    );
  }
}
