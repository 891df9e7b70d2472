// Bytes that have arrived and were not received yet. Sans-IO: packets go in, `take…` answers with bytes or `undefined`
// ("incomplete, ask again"), and what was not taken stays. The only limits are those in the arguments; the socket stops
// reading when `length` passes its mark. Chunks are kept as they came and copied only when an answer straddles two.

import { Buffer } from "node:buffer";

/** The delimiter did not come within `max` bytes, or the stream was longer than `max`. */
export const tooLong: unique symbol = Symbol("too long");

const empty: Buffer = Buffer.alloc(0);

export class Inbound {
  /** Bytes held. */
  length = 0;

  #chunks: Buffer[] = [];
  /** Index of the first live chunk; taking from the front must not shift a long array each time. */
  #head = 0;
  /** Bytes from the front that are known not to begin the delimiter searched last. */
  #searched = 0;
  #searchedFor: Buffer = empty;
  /** The chunk in which the search goes on, and the offset at which that chunk begins. */
  #cursor = 0;
  #cursorOffset = 0;

  /** Adds a packet. The chunk is the queue's from now on. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** Puts bytes back in front: the next take sees them first. */
  unshift(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#head > 0) this.#chunks[--this.#head] = chunk;
    else this.#chunks.unshift(chunk);
    this.length += chunk.length;
    this.#restartSearch();
  }

  /** Everything that is there, at least one byte. */
  takeAny(): Buffer | undefined {
    return this.length === 0 ? undefined : this.#takeFront(this.length);
  }

  /** Exactly `size` bytes; 0 bytes are an answer at once. */
  takeExact(size: number): Buffer | undefined {
    return this.length < size ? undefined : this.#takeFront(size);
  }

  /** Through the first `delimiter`, which ends the answer; `tooLong` when the answer would exceed `max` bytes. */
  takeUntil(delimiter: Buffer, max: number): Buffer | typeof tooLong | undefined {
    const end = this.#find(delimiter);
    if (end === -1) return this.length >= max ? tooLong : undefined;
    return end > max ? tooLong : this.#takeFront(end);
  }

  /** Everything, after the end has come; `tooLong` when there is more than `max`. */
  takeRest(max: number): Buffer | typeof tooLong {
    if (this.length > max) return tooLong;
    return this.length === 0 ? empty : this.#takeFront(this.length);
  }

  clear(): void {
    this.#chunks = [];
    this.#head = 0;
    this.length = 0;
    this.#restartSearch();
  }

  /**
   * Offset just behind the first delimiter, or -1. Each byte is searched once over all calls for one
   * delimiter, so a peer that dribbles a long line costs time in proportion to its length, not to its square.
   */
  #find(delimiter: Buffer): number {
    if (!this.#searchedFor.equals(delimiter)) {
      this.#searchedFor = delimiter;
      this.#restartSearch();
    }
    if (this.length - this.#searched < delimiter.length) return -1;
    const overlap = delimiter.length - 1;
    const unsearchable = this.length - overlap;
    for (let index = this.#cursor, start = this.#cursorOffset; index < this.#chunks.length; index++) {
      const end = this.#findInChunk(index, start, delimiter);
      if (end !== -1) return end;
      const next = start + this.#chunks[index]!.length;
      if (next <= unsearchable) {
        this.#cursor = index + 1;
        this.#cursorOffset = next;
      }
      start = next;
    }
    this.#searched = Math.max(0, unsearchable);
    return -1;
  }

  /** Looks for a delimiter that begins in the chunk at `index`, whose first byte has the offset `start`. */
  #findInChunk(index: number, start: number, delimiter: Buffer): number {
    const chunk = this.#chunks[index]!;
    const at = chunk.indexOf(delimiter, Math.max(0, this.#searched - start));
    if (at !== -1) return start + at + delimiter.length;
    const chunkEnd = start + chunk.length;
    if (chunkEnd === this.length) return -1;
    // It may straddle this chunk and those behind it.
    const overlap = delimiter.length - 1;
    const seamStart = Math.max(start, this.#searched, chunkEnd - overlap);
    const seam = this.#peek(index, seamStart - start, chunkEnd - seamStart + overlap);
    const across = seam.indexOf(delimiter);
    return across === -1 ? -1 : seamStart + across + delimiter.length;
  }

  #restartSearch(): void {
    this.#searched = 0;
    this.#cursor = this.#head;
    this.#cursorOffset = 0;
  }

  /** A copy of up to `size` bytes, beginning at `start` in the chunk at `index`. */
  #peek(index: number, start: number, size: number): Buffer {
    const pieces: Buffer[] = [];
    let missing = size;
    let from = start;
    for (let at = index; at < this.#chunks.length && missing > 0; at++) {
      const piece = this.#chunks[at]!.subarray(from, from + missing);
      pieces.push(piece);
      missing -= piece.length;
      from = 0;
    }
    return Buffer.concat(pieces);
  }

  #takeFront(size: number): Buffer {
    if (size === 0) return empty;
    this.length -= size;
    const front = this.#cutFront(size);
    this.#restartSearch();
    return front;
  }

  #cutFront(size: number): Buffer {
    const first = this.#chunks[this.#head]!;
    if (first.length === size) {
      this.#dropFirst();
      return first;
    }
    if (first.length > size) {
      this.#chunks[this.#head] = first.subarray(size);
      return first.subarray(0, size);
    }
    return this.#gather(size);
  }

  #gather(size: number): Buffer {
    const whole = Buffer.allocUnsafe(size);
    let filled = 0;
    while (filled < size) {
      const chunk = this.#chunks[this.#head]!;
      const wanted = size - filled;
      filled += chunk.copy(whole, filled, 0, wanted);
      if (chunk.length > wanted) this.#chunks[this.#head] = chunk.subarray(wanted);
      else this.#dropFirst();
    }
    return whole;
  }

  #dropFirst(): void {
    this.#chunks[this.#head++] = empty;
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
