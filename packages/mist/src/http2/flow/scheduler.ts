// Whose data leave next (RFC 9218 §10): the most urgent streams first, and among equals each in its turn.
//
// An incremental response gives its turn away after every frame. One that is not is of use only when it is whole, and
// keeps its turn for a burst; not to its end, as RFC 9218 would allow, because then one large download would hold up
// every small answer behind it.

import type { Stream } from "../streams/stream.ts";
import { URGENCIES } from "./priority.ts";

/** Bytes a response that is not incremental may send in one turn. */
const BURST = 64 * 1024;

export class Scheduler<Owner> {
  /** For each urgency a ring of streams, by the one whose turn it is. */
  readonly #rings: (Stream<Owner> | undefined)[] = new Array(URGENCIES).fill(undefined);
  /** Streams that have something to send and the window for it. */
  size = 0;

  /** The stream has something to send. Behind the others of its urgency, unless it waits already. */
  add(stream: Stream<Owner>): void {
    if (stream.ring !== -1) return;
    const ring = stream.priority.urgency;
    const first = this.#rings[ring];
    stream.ring = ring;
    stream.burst = 0;
    this.size++;
    if (first === undefined) {
      this.#rings[ring] = stream;
      stream.before = stream;
      stream.behind = stream;
      return;
    }
    const last = first.before as Stream<Owner>;
    stream.before = last;
    stream.behind = first;
    last.behind = stream;
    first.before = stream;
  }

  /** The stream has nothing to send, or no window, or is no more. */
  remove(stream: Stream<Owner>): void {
    const { ring } = stream;
    if (ring === -1) return;
    const before = stream.before as Stream<Owner>;
    const behind = stream.behind as Stream<Owner>;
    if (behind === stream) this.#rings[ring] = undefined;
    else {
      before.behind = behind;
      behind.before = before;
      if (this.#rings[ring] === stream) this.#rings[ring] = behind;
    }
    stream.ring = -1;
    stream.before = undefined;
    stream.behind = undefined;
    this.size--;
  }

  /** The stream's priority has changed. */
  move(stream: Stream<Owner>): void {
    if (stream.ring === -1) return;
    this.remove(stream);
    this.add(stream);
  }

  /** Whose turn it is. */
  next(): Stream<Owner> | undefined {
    if (this.size === 0) return undefined;
    for (const first of this.#rings) if (first !== undefined) return first;
    return undefined;
  }

  /** The stream whose turn it was has sent a frame. */
  sent(stream: Stream<Owner>, bytes: number): void {
    stream.burst += bytes;
    if (!stream.priority.incremental && stream.burst < BURST) return;
    stream.burst = 0;
    this.#rings[stream.ring] = stream.behind;
  }
}
