// Integers of HPACK (RFC 7541 §5.1): a prefix of 1 to 8 bits, then seven bits to an octet.

import { compressionFault } from "../errors.ts";
import type { ByteSink } from "../frames/byte-sink.ts";

/** Octets behind the prefix. Five hold 35 bits, more than anything in HTTP/2 counts. */
const MAX_OCTETS = 5;

/** Reads a header block from front to back. */
export class BlockReader {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  reset(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** The integer whose prefix is the low bits of `first`, an octet just read; `mask` is the prefix's largest value. */
  integer(first: number, mask: number): number {
    const prefix = first & mask;
    return prefix < mask ? prefix : this.#continued(mask);
  }

  #continued(prefix: number): number {
    let value = prefix;
    let scale = 1;
    for (let octets = 0; octets < MAX_OCTETS; octets++) {
      if (this.at >= this.end)
        throw compressionFault("an integer ends with the header block", "RFC 7541 §5.1");
      const octet = this.bytes[this.at++] as number;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    throw compressionFault("an integer is too large", "RFC 7541 §5.1");
  }
}

/** Writes `value` with a prefix whose largest value is `mask`; `pattern` holds the bits above the prefix. */
export function writeInteger(sink: ByteSink, value: number, mask: number, pattern: number): void {
  if (value < mask) {
    sink.octet(pattern | value);
    return;
  }
  sink.octet(pattern | mask);
  let rest = value - mask;
  while (rest >= 0x80) {
    sink.octet((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  sink.octet(rest);
}
