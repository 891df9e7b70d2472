// Receive windows (RFC 9113 §5.2, §6.9): how much the peer may send, and when it may send more. What we may send is a
// number on the stream and on the connection, which the peer moves.

/** The largest window there is (RFC 9113 §6.9.1). */
export const MAX_WINDOW = 0x7fff_ffff;
/** Every window's size before anyone says otherwise (RFC 9113 §6.9.2). */
export const DEFAULT_WINDOW = 65_535;

/**
 * A stream's receive window. Room is given back as the application reads, in halves of the window. While the
 * application keeps up and the peer still runs into the window's end, the window is what slows the peer down, and it
 * doubles.
 */
export class StreamWindow {
  /** What the peer may send now. */
  available: number;
  #target: number;
  /** Read, and not given back yet. */
  #owed = 0;

  constructor(available: number, target: number) {
    this.available = available;
    this.#target = target;
  }

  /** `count` bytes were read, and `unread` more are there to be. How much to give back now: 0, or an increment. */
  giveBack(count: number, unread: number, most: number): number {
    this.#owed += count;
    if (this.#owed < this.#target >> 1) return 0;
    let increment = this.#owed;
    if (unread === 0 && this.available <= this.#target >> 1 && this.#target < most) {
      const grown = Math.min(this.#target * 2, most);
      increment += grown - this.#target;
      this.#target = grown;
    }
    this.#owed = 0;
    this.available += increment;
    return increment;
  }
}

/**
 * The connection's receive window. Room is given back as bytes arrive, not as they are read: so an application that
 * is slow on one stream holds back that stream alone. Only beyond a bound, for all streams together, does it stay shut.
 */
export class ConnectionWindow {
  /** What the peer may send now, on all streams together. */
  available: number = DEFAULT_WINDOW;
  /** Received and not read. */
  unread = 0;
  readonly #target: number;
  readonly #maxUnread: number;

  constructor(target: number, maxUnread: number) {
    this.#target = target;
    this.#maxUnread = Math.max(target, maxUnread);
  }

  /** How much to give back now: 0, or an increment. */
  giveBack(): number {
    if (this.available > this.#target >> 1 || this.unread + this.#target > this.#maxUnread) return 0;
    const increment = this.#target - this.available;
    this.available = this.#target;
    return increment;
  }
}
