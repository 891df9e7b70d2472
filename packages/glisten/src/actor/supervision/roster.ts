// A set for tens of thousands of short-lived children.
//
// A `Set` would do, but its table is replaced time and again, each old table points to the next, and once one of
// them has reached the old generation the garbage collector keeps the whole chain, with every child in it, until
// the next full collection. Here each child knows its place in one array, and the last one fills a gap.

/** An item of a roster, and of one roster only. */
export interface Placed {
  /** Its index; undefined or -1: none. Set by the roster. */
  place?: number | undefined;
}

/** A set, in no particular order. */
export class Roster<Item extends Placed> implements Iterable<Item> {
  readonly #items: Item[] = [];

  /** How many items there are. */
  get size(): number {
    return this.#items.length;
  }

  /** Whether the item is in the set. */
  has(item: Item): boolean {
    const { place = -1 } = item;
    return place >= 0 && this.#items[place] === item;
  }

  /** Adds an item, once. */
  add(item: Item): void {
    if (this.has(item)) return;
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** Removes an item; false: it was not in the set. */
  delete(item: Item): boolean {
    if (!this.has(item)) return false;
    const last = this.#items.pop()!;
    if (last !== item) {
      const place = item.place!;
      this.#items[place] = last;
      last.place = place;
    }
    item.place = -1;
    return true;
  }

  /** Removes all items. */
  clear(): void {
    for (const item of this.#items) item.place = -1;
    this.#items.length = 0;
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.#items[Symbol.iterator]();
  }
}
