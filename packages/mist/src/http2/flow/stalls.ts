// Streams that have data to send, and which of them the peer holds back by its windows: a peer that asks for much and
// takes nothing is not waited for (CVE-2026-49975). Single bytes are no progress.
//
// A stream's own window holds back that stream. The connection's window holds back all; but a stream that waits for its
// turn is not stalled while the connection moves, or a slow client would lose the end of a long queue.

import { PROGRESS, type Stream } from "../streams/stream.ts";

const NEVER = Number.POSITIVE_INFINITY;

export class Stalls<Owner> {
  readonly #waiting = new Set<Stream<Owner>>();
  /** Since when the connection's window has been shut, in ms; Infinity: it is not. */
  #heldSince: number = NEVER;
  /** What has left since. */
  #progress = 0;

  /** The stream has data to send. */
  add(stream: Stream<Owner>): void {
    this.#waiting.add(stream);
  }

  /** The stream has none left. */
  remove(stream: Stream<Owner>): void {
    this.#waiting.delete(stream);
    stream.stalledSince = NEVER;
    if (this.#waiting.size === 0) this.#heldSince = NEVER;
  }

  /** Data of one of the streams have left. */
  progress(bytes: number, connectionWindow: number): void {
    this.#progress += bytes;
    this.noteProgress(connectionWindow);
  }

  /** What has left, and what may leave, ends a stall when it is as much as all that wait would have to move. */
  noteProgress(connectionWindow: number): void {
    if (this.#progress + connectionWindow >= PROGRESS * this.#waiting.size) this.#heldSince = NEVER;
  }

  /** All that may leave has left: what is still there is held back. */
  notice(connectionWindow: number, now: number): void {
    if (this.#waiting.size === 0) return;
    if (connectionWindow <= 0 && this.#heldSince === NEVER) {
      this.#heldSince = now;
      this.#progress = 0;
    }
    for (const stream of this.#waiting) if (stream.sendWindow <= 0) stream.stall(now);
  }

  /** Updates of windows could not be read for a while: stalls that have begun begin anew. */
  restart(now: number): void {
    if (this.#heldSince !== NEVER) this.#heldSince = now;
    for (const stream of this.#waiting) if (stream.stalledSince !== NEVER) stream.stalledSince = now;
  }

  /** The earliest instant since which a stream has been held back, in ms; Infinity: none is. */
  get since(): number {
    if (this.#waiting.size === 0) return NEVER;
    let since = this.#heldSince;
    for (const { stalledSince } of this.#waiting) since = Math.min(since, stalledSince);
    return since;
  }

  /** The streams that have been held back since `instant` or before. */
  at(instant: number): Stream<Owner>[] {
    const all = this.#heldSince <= instant;
    return [...this.#waiting].filter(({ stalledSince }) => all || stalledSince <= instant);
  }
}
