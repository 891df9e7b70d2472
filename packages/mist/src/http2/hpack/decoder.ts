// Header blocks into fields (RFC 7541 §3.2, §6). One decoder per connection: the table is the connection's.
//
// Whatever becomes of the fields, a block must be decoded to its end, or the table would no longer be the peer's.

import type { Buffer } from "node:buffer";
import { compressionFault } from "../errors.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { Entry } from "./entry.ts";
import { decodeHuffman } from "./huffman.ts";
import { BlockReader } from "./integer.ts";
import { STATIC_LENGTH, STATIC_TABLE } from "./static-table.ts";

/** Size of the table as a peer may assume it from the start (RFC 9113 §6.5.2); no other is ever announced. */
export const DECODER_TABLE_SIZE = 4096;

/** Takes decoded fields, one after the other. */
export interface FieldSink {
  field(entry: Entry): void;
}

export class HpackDecoder {
  readonly table: DynamicTable = new DynamicTable(DECODER_TABLE_SIZE);
  readonly #reader: BlockReader = new BlockReader();

  /** Decodes the block in `bytes[start, end)`. Throws a `ConnectionFault` (COMPRESSION_ERROR), and what the sink throws. */
  decode(bytes: Buffer, start: number, end: number, sink: FieldSink): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    let mayResize = true;
    while (reader.at < end) {
      const octet = bytes[reader.at++] as number;
      if (octet >= 0x80) {
        // Indexed field (§6.1). The prefix is looked at here: most indexes fit.
        const index = octet & 0x7f;
        sink.field(this.#entryAt(index === 0x7f ? reader.integer(octet, 0x7f) : index));
      } else if (octet >= 0x40) {
        // Literal with incremental indexing (§6.2.1).
        const entry = this.#literal(octet, 0x3f);
        this.table.insert(entry);
        sink.field(entry);
      } else if (octet >= 0x20) {
        // Size update (§6.3), at the start of a block only (§4.2).
        if (!mayResize) throw compressionFault("a table size update follows a field", "RFC 7541 §4.2");
        this.#resize(reader.integer(octet, 0x1f));
        continue;
      } else {
        // Literal without indexing or never indexed (§6.2.2, §6.2.3): the same to a recipient.
        sink.field(this.#literal(octet, 0x0f));
      }
      mayResize = false;
    }
    // Bytes of a packet must not live on in an idle connection.
    reader.reset(NO_BYTES, 0, 0);
  }

  #resize(size: number): void {
    if (size > DECODER_TABLE_SIZE) {
      throw compressionFault(`the table may have ${DECODER_TABLE_SIZE} bytes, not ${size}`, "RFC 7541 §6.3");
    }
    this.table.resize(size);
  }

  #entryAt(index: number): Entry {
    const entry = index <= STATIC_LENGTH ? STATIC_TABLE[index] : this.table.get(index - STATIC_LENGTH - 1);
    if (entry === undefined || index === 0)
      throw compressionFault(`there is no index ${index}`, "RFC 7541 §2.3.3");
    return entry;
  }

  #literal(octet: number, mask: number): Entry {
    const index = this.#reader.integer(octet, mask);
    const name = index === 0 ? this.#string() : this.#entryAt(index).name;
    return new Entry(name, this.#string());
  }

  /** RFC 7541 §5.2. */
  #string(): string {
    const reader = this.#reader;
    if (reader.at >= reader.end) throw endsInString();
    const octet = reader.bytes[reader.at++] as number;
    const length = reader.integer(octet, 0x7f);
    const start = reader.at;
    const end = start + length;
    if (end > reader.end) throw endsInString();
    reader.at = end;
    return octet >= 0x80
      ? decodeHuffman(reader.bytes, start, end)
      : reader.bytes.toString("latin1", start, end);
  }
}

const NO_BYTES = new BlockReader().bytes;

function endsInString(): Error {
  return compressionFault("a string ends with the header block", "RFC 7541 §5.2");
}
