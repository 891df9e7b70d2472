// A set of children that come and go by the ten thousand.
//
// A `Set` would do, but its table is replaced time and again, each old table points to the next, and once one of
// them has reached the old generation the garbage collector keeps the whole chain, with every child in it, until
// the next full collection. Here each child knows its place in one array, and the last one fills a gap.

/** Something that can stand in a roster. In one only. */
export interface Placed {
  /** Where it stands; undefined or -1: nowhere. The roster's own. */
  place?: number | undefined;
}

/** Who is there, in no particular order. */
export class Roster<Item extends Placed> implements Iterable<Item> {
  readonly #items: Item[] = [];

  /** How many. */
  get size(): number {
    return this.#items.length;
  }

  /** Whether it is there. */
  has(item: Item): boolean {
    const { place = -1 } = item;
    return place >= 0 && this.#items[place] === item;
  }

  /** Takes it in, once. */
  add(item: Item): void {
    if (this.has(item)) return;
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** Lets it go; false: it was not there. */
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

  /** Lets all go. */
  clear(): void {
    for (const item of this.#items) item.place = -1;
    this.#items.length = 0;
  }

  [Symbol.iterator](): Iterator<Item> {
    return this.#items[Symbol.iterator]();
  }
}
