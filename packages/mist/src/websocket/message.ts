// A message in pieces: fragments, and frames that did not come in one packet (RFC 6455 §5.4).
//
// Pieces are copied into one growing buffer, so a message costs its octets, however many frames and packets it came
// in. Room is made for what has come, not for what a header promised: a peer that announces 16 MiB and sends nothing
// has not made us allocate them.

import { Buffer } from "node:buffer";

/** Room given to a promise on trust. */
const trustedBytes = 65_536;

const empty: Buffer = Buffer.alloc(0);

export class MessageBuffer {
  #bytes: Buffer = empty;
  #length = 0;

  /** Octets so far. */
  get length(): number {
    return this.#length;
  }

  /** Memory held. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** Copies `source[start, end)` to the end; `expected` is how long the message will at least be, as far as known. */
  append(source: Buffer, start: number, end: number, expected: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) this.#grow(length, expected);
    source.copy(this.#bytes, this.#length, start, end);
    this.#length = length;
  }

  /** Gives the message away and begins another. */
  take(): Buffer {
    const bytes = this.#bytes;
    const length = this.#length;
    this.#bytes = empty;
    this.#length = 0;
    if (length === bytes.length) return bytes;
    // Do not let a small message keep a large buffer alive.
    return length < bytes.length >> 1 ? Buffer.from(bytes.subarray(0, length)) : bytes.subarray(0, length);
  }

  #grow(needed: number, expected: number): void {
    const trust = Math.max(needed * 2, trustedBytes);
    const capacity = expected > needed ? Math.min(expected, trust) : this.#length === 0 ? needed : needed * 2;
    const grown = Buffer.allocUnsafe(capacity);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
