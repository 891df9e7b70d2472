// The dynamic table (RFC 7541 §2.3.2, §4), of a decoder or of an encoder: a ring, the newest entry at index 0.

import type { Entry } from "./entry.ts";

const SMALLEST_RING = 16;

export class DynamicTable {
  /** Entries in the table. */
  length = 0;
  /** The sum of their sizes. */
  size = 0;
  /** Grows with everything that moves an index: equal generations of one table mean equal contents. */
  generation = 0;
  #maxSize: number;
  #ring: (Entry | undefined)[] = [];
  /** Where the newest entry lies. */
  #newest = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** The entry at `index`, 0 for the newest; undefined behind the last. */
  get(index: number): Entry | undefined {
    if (index >= this.length) return undefined;
    const ring = this.#ring;
    return ring[(this.#newest - index) & (ring.length - 1)];
  }

  /** Adds an entry and evicts what no longer fits; one larger than the table empties it (RFC 7541 §4.4). */
  insert(entry: Entry): void {
    this.generation++;
    this.#evictTo(this.#maxSize - entry.size);
    if (entry.size > this.#maxSize) return;
    if (this.length === this.#ring.length) this.#grow();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = entry;
    this.length++;
    this.size += entry.size;
  }

  /** RFC 7541 §4.3. */
  resize(maxSize: number): void {
    this.generation++;
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  /** The index of this very entry, or -1. */
  indexOf(entry: Entry): number {
    const ring = this.#ring;
    for (let index = 0; index < this.length; index++) {
      if (ring[(this.#newest - index) & (ring.length - 1)] === entry) return index;
    }
    return -1;
  }

  #evictTo(size: number): void {
    const ring = this.#ring;
    while (this.length > 0 && this.size > size) {
      const oldest = (this.#newest - --this.length) & (ring.length - 1);
      this.size -= (ring[oldest] as Entry).size;
      ring[oldest] = undefined;
    }
  }

  #grow(): void {
    const grown: (Entry | undefined)[] = new Array(Math.max(SMALLEST_RING, this.#ring.length * 2)).fill(
      undefined,
    );
    for (let index = 0; index < this.length; index++) grown[this.length - 1 - index] = this.get(index);
    this.#ring = grown;
    this.#newest = (this.length - 1) & (grown.length - 1);
  }
}
