// A field as HPACK keeps it: in the static table, in a dynamic table, or on its own. Entries never change, so that a
// request that repeats a field shares it with the request before.

import type { Field } from "../../http/fields.ts";

/** What a table entry costs besides its text (RFC 7541 §4.1). */
const ENTRY_OVERHEAD = 32;

/** Nobody has looked at this entry yet. */
export const UNCLASSIFIED = -1;

export class Entry {
  readonly field: Field;
  /** Its size in a table and in a field section (RFC 7541 §4.1, RFC 9113 §6.5.2). */
  readonly size: number;
  /** What the field means to the reader of heads, who finds it out once. */
  kind: number = UNCLASSIFIED;

  constructor(name: string, value: string) {
    this.field = [name, value];
    this.size = name.length + value.length + ENTRY_OVERHEAD;
  }

  get name(): string {
    return this.field[0];
  }

  get value(): string {
    return this.field[1];
  }
}
