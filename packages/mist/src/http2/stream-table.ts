/**
 * The streams of one connection: those that are open, and what is known of those that were.
 *
 * What a frame on a closed stream means depends on how the stream was closed (RFC 9113 §5.1). Most end with END_STREAM
 * on both sides, and need no record. Resets are remembered, the latest of them; of older ones the benefit of the doubt
 * is given.
 */

import type { Stream } from "./stream.ts";

/** How a stream that is not open came to be so. */
export type Closed = "ended" | "reset-by-us" | "reset-by-peer" | "skipped";

const MAX_RECORDS = 256;
const MAX_GAPS = 32;

export class StreamTable<Owner> {
  /** The highest id the peer has used. */
  lastId = 0;
  readonly #open = new Map<number, Stream<Owner>>();
  /** Reset streams; true: by the peer. Oldest first. */
  readonly #resets = new Map<number, boolean>();
  /** Up to this id, resets have been forgotten. */
  #forgotten = 0;
  /** Ids the peer has jumped over: the first and the last of each gap. */
  readonly #gaps: [first: number, last: number][] = [];

  get size(): number {
    return this.#open.size;
  }

  get(id: number): Stream<Owner> | undefined {
    return this.#open.get(id);
  }

  [Symbol.iterator](): IterableIterator<Stream<Owner>> {
    return this.#open.values();
  }

  /** The peer has used `id`, which closes the idle streams below it (RFC 9113 §5.1.1). */
  use(id: number): void {
    if (id > this.lastId + 2 && this.lastId !== 0 && this.#gaps.length < MAX_GAPS) {
      this.#gaps.push([this.lastId + 2, id - 2]);
    } else if (this.lastId === 0 && id > 1) {
      this.#gaps.push([1, id - 2]);
    }
    this.lastId = id;
  }

  add(stream: Stream<Owner>): void {
    this.#open.set(stream.id, stream);
  }

  /** Both sides have ended. */
  ended(stream: Stream<Owner>): void {
    this.#open.delete(stream.id);
  }

  /** The stream was reset, or refused before it was one. */
  reset(id: number, byPeer: boolean): void {
    this.#open.delete(id);
    this.#resets.set(id, byPeer);
    if (this.#resets.size <= MAX_RECORDS) return;
    const oldest = this.#resets.keys().next().value as number;
    this.#resets.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, oldest);
  }

  /** Everything is over. */
  clear(): void {
    this.#open.clear();
    this.#resets.clear();
  }

  /** Is this a stream nobody has used yet? Even ids are a server's, and this one uses none. */
  isIdle(id: number): boolean {
    return id > this.lastId || (id & 1) === 0;
  }

  /** How the stream `id`, neither open nor idle, was closed. */
  closed(id: number): Closed {
    const byPeer = this.#resets.get(id);
    if (byPeer !== undefined) return byPeer ? "reset-by-peer" : "reset-by-us";
    if (this.#gaps.some(([first, last]) => id >= first && id <= last)) return "skipped";
    return id <= this.#forgotten ? "reset-by-us" : "ended";
  }
}
