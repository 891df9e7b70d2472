// The fields this server sends again and again, with their code. Shared by all connections, so that the Huffman code
// of a value is worked out once; which of them stand in a connection's table is the connection's own affair.
//
// A field is remembered when it is met a second time: a value nobody repeats is not worth a place in a table.

import { Buffer } from "node:buffer";
import { ByteSink } from "../frames/byte-sink.ts";
import { Entry } from "./entry.ts";
import { encodeHuffman, huffmanLength } from "./huffman.ts";
import { writeInteger } from "./integer.ts";
import { STATIC_LENGTH, STATIC_TABLE, staticNameIndex } from "./static-table.ts";

const MAX_NAMES = 128;
const MAX_VALUES = 8;
const MAX_VALUE_LENGTH = 256;

/** A field to be sent, and its representations. */
export class RememberedField extends Entry {
  /** Its index in the static table, or 0. */
  readonly staticIndex: number;
  /** Literal with incremental indexing (RFC 7541 §6.2.1). */
  readonly literal: Buffer;

  constructor(name: string, value: string) {
    super(name, value);
    this.staticIndex = staticIndex(name, value);
    const sink = new ByteSink();
    writeName(sink, name, 0x3f, 0x40);
    writeShortest(sink, value);
    this.literal = Buffer.from(sink.take());
  }
}

/** By name, and by value: met once (null), or remembered. */
const names = new Map<string, Map<string, RememberedField | null>>();

/** The field, if it was met before. Name and value are checked by then. */
export function rememberedField(name: string, value: string): RememberedField | undefined {
  const values = names.get(name);
  const known = values?.get(value);
  if (known !== undefined && known !== null) return known;
  if (value.length > MAX_VALUE_LENGTH) return undefined;
  if (values === undefined) {
    if (names.size < MAX_NAMES) names.set(name, new Map([[value, null]]));
    return undefined;
  }
  if (known === null) {
    const field = new RememberedField(name, value);
    values.set(value, field);
    return field;
  }
  if (values.size >= MAX_VALUES) values.delete(values.keys().next().value as string);
  values.set(value, null);
  return undefined;
}

/** Forgets all of them: what a run of the simulator sends must not depend on the runs before it. */
export function forgetFields(): void {
  names.clear();
}

/** The name of a literal: its index in the static table, or its text. */
export function writeName(sink: ByteSink, name: string, mask: number, pattern: number): void {
  const index = staticNameIndex(name);
  writeInteger(sink, index, mask, pattern);
  if (index === 0) writeText(sink, name);
}

/** A string as it is: for what is not met again the Huffman code would cost more than it saves. */
export function writeText(sink: ByteSink, text: string): void {
  writeInteger(sink, text.length, 0x7f, 0);
  sink.latin1(text);
}

function writeShortest(sink: ByteSink, text: string): void {
  if (huffmanLength(text) >= text.length) {
    writeText(sink, text);
    return;
  }
  const code = encodeHuffman(text);
  writeInteger(sink, code.length, 0x7f, 0x80);
  sink.append(code);
}

function staticIndex(name: string, value: string): number {
  for (let index = staticNameIndex(name); index !== 0 && index <= STATIC_LENGTH; index++) {
    const entry = STATIC_TABLE[index] as Entry;
    if (entry.name !== name) return 0;
    if (entry.value === value) return index;
  }
  return 0;
}
