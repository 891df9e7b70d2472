// The bytes received and not yet consumed. Takes ownership of what it is given; copies only when a
// head or a trailer section straddles packets, and then into a buffer that grows by doubling, so
// that a peer who dribbles bytes costs a linear number of copies.

const noBytes: Buffer = Buffer.alloc(0);
const smallestBuffer = 512;

export class ReceiveBuffer {
  /** The live bytes are `bytes[start, end)`. */
  bytes: Buffer = noBytes;
  start = 0;
  end = 0;
  /** Was `bytes` allocated here, so that there may be room behind `end`? */
  #own = false;

  get length(): number {
    return this.end - this.start;
  }

  append(chunk: Buffer): void {
    if (this.start === this.end) {
      this.bytes = chunk;
      this.start = 0;
      this.end = chunk.length;
      this.#own = false;
      return;
    }
    if (!this.#own || this.bytes.length - this.end < chunk.length) this.#grow(chunk.length);
    chunk.copy(this.bytes, this.end);
    this.end += chunk.length;
  }

  #grow(room: number): void {
    const live = this.end - this.start;
    const grown = Buffer.allocUnsafeSlow(Math.max(smallestBuffer, live * 2, live + room));
    this.bytes.copy(grown, 0, this.start, this.end);
    this.bytes = grown;
    this.start = 0;
    this.end = live;
    this.#own = true;
  }

  /** Consume and return the first `count` live bytes, without a copy. */
  take(count: number): Buffer {
    const from = this.start;
    const to = from + count;
    const bytes = this.bytes;
    const taken = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    this.consumeTo(to);
    return taken;
  }

  /** Consume up to the position `to`; lets go of the memory when nothing is left. */
  consumeTo(to: number): void {
    if (to < this.end) {
      this.start = to;
      return;
    }
    this.clear();
  }

  clear(): void {
    this.bytes = noBytes;
    this.start = 0;
    this.end = 0;
    this.#own = false;
  }
}
