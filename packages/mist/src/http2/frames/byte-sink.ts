// Bytes on their way out, gathered in one buffer that grows by doubling.

import { Buffer } from "node:buffer";

const EMPTY: Buffer = Buffer.alloc(0);
const SMALLEST = 256;
/** Larger buffers are not guessed at: one large turn must not have every later one allocate as much. */
const MAX_GUESS = 64 * 1024;

export class ByteSink {
  /** What was written is `bytes[0, length)`. */
  bytes: Buffer = EMPTY;
  length = 0;
  /** How much the last buffer held when it was taken: the next one is likely to hold as much. */
  #guess: number = SMALLEST;

  /** Makes room for `count` more bytes. Taken before writing into `bytes` by hand. */
  reserve(count: number): void {
    if (this.length + count > this.bytes.length) this.#grow(count);
  }

  #grow(count: number): void {
    const size = Math.max(this.bytes.length * 2, this.length + count, this.#guess);
    const grown = Buffer.allocUnsafe(size);
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  octet(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Latin-1 text. */
  latin1(text: string): void {
    this.reserve(text.length);
    this.length += this.bytes.write(text, this.length, "latin1");
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    // A call into the engine costs more than a few bytes moved one by one.
    if (bytes.length > 32) this.bytes.set(bytes, this.length);
    else for (let i = 0; i < bytes.length; i++) this.bytes[this.length + i] = bytes[i] as number;
    this.length += bytes.length;
  }

  /** Everything written, which the caller may keep; the next bytes go into a new buffer. */
  take(): Buffer {
    const taken = this.length === this.bytes.length ? this.bytes : this.bytes.subarray(0, this.length);
    this.#guess = Math.min(MAX_GUESS, Math.max(SMALLEST, this.length + (this.length >> 1)));
    this.bytes = EMPTY;
    this.length = 0;
    return taken;
  }
}
