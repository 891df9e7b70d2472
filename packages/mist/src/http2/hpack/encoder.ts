// Fields into header blocks (RFC 7541 §6). One encoder per connection.
//
// Which representation a field gets:
//
// - never indexed: what an attacker who can add text of their own beside it would like to guess, byte by byte, from
//   the size of the compressed block (RFC 7541 §7.1.3): `authorization`, `proxy-authorization`, `cookie`, `set-cookie`
// - without indexing: what is different in every response, such as `etag`
// - in the table: anything else, from the second time it is met on

import type { ByteSink } from "../frames/byte-sink.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { writeInteger } from "./integer.ts";
import { type RememberedField, rememberedField, writeName, writeText } from "./remembered-fields.ts";
import { STATIC_LENGTH } from "./static-table.ts";

/** More than this is not used, whatever the peer allows. */
const MAX_TABLE_SIZE = 4096;

const SECRET: ReadonlySet<string> = new Set("authorization proxy-authorization cookie set-cookie".split(" "));
const VOLATILE: ReadonlySet<string> = new Set(
  "age content-length content-range etag expires last-modified location retry-after".split(" "),
);

export class HpackEncoder {
  readonly table: DynamicTable = new DynamicTable(MAX_TABLE_SIZE);
  /** The smallest size since the last block, and the last: both must be said (RFC 7541 §4.2). -1: no change. */
  #smallest = -1;
  #last = -1;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setMaxTableSize(size: number): void {
    const used = Math.min(size, MAX_TABLE_SIZE);
    if (this.#last === -1 ? used === this.table.maxSize : used === this.#last) return;
    this.#smallest = this.#last === -1 ? used : Math.min(this.#smallest, used);
    this.#last = used;
    // What the table holds is evicted at once, so that no cached block speaks of it.
    this.table.resize(Math.min(this.#smallest, this.table.maxSize));
  }

  /** Is a change of the table's size still to be said? */
  get resizing(): boolean {
    return this.#last !== -1;
  }

  /** Starts a block. */
  begin(sink: ByteSink): void {
    if (this.#last === -1) return;
    if (this.#smallest < this.#last) writeInteger(sink, this.#smallest, 0x1f, 0x20);
    writeInteger(sink, this.#last, 0x1f, 0x20);
    this.table.resize(this.#last);
    this.#smallest = -1;
    this.#last = -1;
  }

  /** Adds a field, checked and with its name in lower case. */
  field(sink: ByteSink, name: string, value: string): void {
    if (SECRET.has(name)) this.#literal(sink, name, value, 0x10);
    else if (VOLATILE.has(name)) this.#literal(sink, name, value, 0x00);
    else {
      const remembered = rememberedField(name, value);
      if (remembered === undefined) this.#literal(sink, name, value, 0x00);
      else this.#indexed(sink, remembered);
    }
  }

  #indexed(sink: ByteSink, field: RememberedField): void {
    if (field.staticIndex !== 0) {
      sink.octet(0x80 | field.staticIndex);
      return;
    }
    const index = this.table.indexOf(field);
    if (index !== -1) {
      writeInteger(sink, index + STATIC_LENGTH + 1, 0x7f, 0x80);
      return;
    }
    sink.append(field.literal);
    this.table.insert(field);
  }

  #literal(sink: ByteSink, name: string, value: string, pattern: number): void {
    writeName(sink, name, 0x0f, pattern);
    writeText(sink, value);
  }
}
