// What has come of a request's body and was not read yet.
//
// A large piece is a view of the packet it came in. A small one is copied, together with its neighbours: one byte that
// waits must not keep a whole packet in memory, or a window of bytes could hold a window of packets.

import { Buffer } from "node:buffer";

/** Pieces below this many bytes, or below a quarter of their packet, are copied. */
const SMALL = 2048;

export class ContentQueue {
  /** Bytes in the queue. */
  length = 0;
  readonly #pieces: Buffer[] = [];
  #first = 0;
  /** The last piece, if it is a copy with room behind it: its memory, and how much of that is used. */
  #tail: Buffer | undefined = undefined;
  #used = 0;

  push(bytes: Buffer, start: number, end: number): void {
    const count = end - start;
    this.length += count;
    if (count >= SMALL && count * 4 >= bytes.length) {
      this.#pieces.push(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
      this.#tail = undefined;
    } else {
      this.#copy(bytes, start, end);
    }
  }

  #copy(bytes: Buffer, start: number, end: number): void {
    const count = end - start;
    const tail = this.#tail;
    if (tail !== undefined && tail.length - this.#used >= count) {
      bytes.copy(tail, this.#used, start, end);
      this.#used += count;
      this.#pieces[this.#pieces.length - 1] = tail.subarray(0, this.#used);
      return;
    }
    // A first small piece is likely to be alone; from the second on they are likely to be many.
    const room = this.#pieces.length === this.#first ? count : Math.max(count, SMALL * 4);
    const copy = Buffer.allocUnsafeSlow(room);
    bytes.copy(copy, 0, start, end);
    this.#pieces.push(copy.subarray(0, count));
    this.#tail = copy;
    this.#used = count;
  }

  /** The piece that came first, or undefined when there is none. */
  shift(): Buffer | undefined {
    if (this.#first === this.#pieces.length) return undefined;
    const piece = this.#pieces[this.#first] as Buffer;
    this.#first++;
    this.length -= piece.length;
    if (this.#first === this.#pieces.length) this.clear();
    else if (this.#first > 32 && this.#first * 2 > this.#pieces.length) {
      this.#pieces.splice(0, this.#first);
      this.#first = 0;
    }
    return piece;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#first = 0;
    this.length = 0;
    this.#tail = undefined;
  }
}
