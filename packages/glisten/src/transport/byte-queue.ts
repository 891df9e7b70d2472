// Bytes that have arrived and wait to be asked for. Copies only what straddles two chunks.

/** A queue of bytes: chunks in, any number of bytes out. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #size = 0;

  /** How many bytes wait. */
  get length(): number {
    return this.#size;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** Takes the first `length` bytes, which must be there; 0 takes all. */
  take(length: number): Buffer {
    const whole = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#size);
    const end = length === 0 ? whole.length : length;
    const rest = whole.subarray(end);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#size = rest.length;
    return whole.subarray(0, end);
  }

  clear(): void {
    this.#chunks = [];
    this.#size = 0;
  }
}
