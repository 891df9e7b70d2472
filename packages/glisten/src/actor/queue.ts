// A first-in first-out queue: a ring of a power of two that doubles when full. `push` and `shift` cost a few
// nanoseconds and no allocation in the long run; an emptied queue drops a large ring.

const smallRing = 16;
const largestKept = 1024;

/** An unbounded FIFO of anything. */
export class Queue<Item> {
  #ring: (Item | undefined)[] = new Array<Item | undefined>(smallRing).fill(undefined);
  #head = 0;
  #length = 0;

  /** How many items wait. */
  get length(): number {
    return this.#length;
  }

  /** Adds at the end. */
  push(item: Item): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item;
    this.#length += 1;
  }

  /** Takes the oldest. Only for a queue that is not empty: an item may itself be `undefined`. */
  shift(): Item {
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length -= 1;
    if (this.#length === 0 && this.#ring.length > largestKept) this.clear();
    return item as Item;
  }

  /** Removes all items. */
  clear(): void {
    this.#ring = new Array<Item | undefined>(smallRing).fill(undefined);
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const old = this.#ring;
    const ring = new Array<Item | undefined>(old.length * 2).fill(undefined);
    for (let index = 0; index < this.#length; index += 1) {
      ring[index] = old[(this.#head + index) & (old.length - 1)];
    }
    this.#ring = ring;
    this.#head = 0;
  }
}
