// The streams of one connection: those that are open, and what is known of those that were.
//
// What a frame on a closed stream means depends on how the stream was closed (RFC 9113 §5.1). Most end with END_STREAM
// on both sides, and need no record. Resets are remembered, the latest of them; of older ones the benefit of the doubt
// is given.

import type { Stream } from "./stream.ts";

/** How a stream that is not open came to be so. */
export type Closed = "ended" | "reset-by-us" | "reset-by-peer" | "skipped";

/** Open streams have mostly been opened one after the other: then each has a slot of its own. */
const SLOTS = 64;
const MAX_RECORDS = 256;
const MAX_GAPS = 32;

export class StreamTable<Owner> {
  /** The highest id the peer has used. */
  lastId = 0;
  /** Open streams, by the low bits of their ids. A map that fills and empties with every packet costs too much. */
  readonly #slots: (Stream<Owner> | undefined)[] = [];
  /** Open streams whose slot was taken. */
  readonly #others = new Map<number, Stream<Owner>>();
  /** Open streams. */
  size = 0;
  /** Reset streams; true: by the peer. Oldest first. */
  readonly #resets = new Map<number, boolean>();
  /** Up to this id, resets have been forgotten. */
  #forgotten = 0;
  /** Ids the peer has jumped over: the first and the last of each gap. */
  readonly #gaps: [first: number, last: number][] = [];

  get(id: number): Stream<Owner> | undefined {
    const stream = this.#slots[slot(id)];
    if (stream !== undefined && stream.id === id) return stream;
    return this.#others.size === 0 ? undefined : this.#others.get(id);
  }

  /** The open streams, in no particular order. */
  *[Symbol.iterator](): IterableIterator<Stream<Owner>> {
    for (const stream of this.#slots) if (stream !== undefined) yield stream;
    yield* this.#others.values();
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
    const slots = this.#slots;
    const at = slot(stream.id);
    this.size++;
    while (slots.length <= at) slots.push(undefined);
    if (slots[at] === undefined) slots[at] = stream;
    else this.#others.set(stream.id, stream);
  }

  /** Both sides have ended. */
  ended(stream: Stream<Owner>): void {
    this.#remove(stream.id);
  }

  /** The stream was reset, or refused before it was one. */
  reset(id: number, byPeer: boolean): void {
    this.#remove(id);
    this.#resets.set(id, byPeer);
    if (this.#resets.size <= MAX_RECORDS) return;
    const oldest = this.#resets.keys().next().value as number;
    this.#resets.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, oldest);
  }

  #remove(id: number): void {
    const at = slot(id);
    if (this.#slots[at]?.id === id) this.#slots[at] = undefined;
    else if (!this.#others.delete(id)) return;
    this.size--;
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

function slot(id: number): number {
  return (id >> 1) & (SLOTS - 1);
}
