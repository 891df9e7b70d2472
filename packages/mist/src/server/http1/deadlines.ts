// The deadlines of one HTTP connection, folded into the one slot glisten gives it.
//
// Two may run side by side: what we wait for from the peer (`read`), and what a streaming response asked for itself
// (`actor`). Usually only `read` is set, and then nothing is compared and no clock is looked at. That the peer takes what
// is written is glisten's to watch.

import type { Connection } from "@x/glisten";
import { clock } from "@x/glisten/kit";

/** What can be late. */
export type DeadlineKind = "read" | "actor";

/** Sets, clears and tells apart the deadlines of one connection. */
export class ConnectionDeadlines {
  readonly #connection: Connection;
  // Instants, 0 for none.
  #read = 0;
  #actor = 0;
  /** `read` has the slot to itself: its instant is the slot's, and not worked out. */
  #readAlone = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Has `kind` fall due in `ms` milliseconds; 0 clears it. */
  set(kind: DeadlineKind, ms: number): void {
    if (kind === "read" && this.#actor === 0) {
      this.#read = ms;
      this.#readAlone = true;
      this.#connection.setDeadline(ms);
      return;
    }
    const now = clock.now();
    this.#beginToCompare(now);
    const instant = ms === 0 ? 0 : now + ms;
    if (kind === "read") this.#read = instant;
    else this.#actor = instant;
    this.#arm();
  }

  /** Clears all of them. */
  clear(): void {
    this.#read = 0;
    this.#actor = 0;
    this.#connection.setDeadline(0);
  }

  /** Calls `late` for each kind that is due, clears it, and arms the slot for the next. */
  dispatch(late: (kind: DeadlineKind) => void): void {
    // The slot is coarse and may come a moment early for an instant set by another clock reading.
    const now = clock.now() + 1;
    const read = this.#read !== 0 && (this.#readAlone || this.#read <= now);
    const actor = this.#actor !== 0 && this.#actor <= now;
    if (read) this.#read = 0;
    if (actor) this.#actor = 0;
    this.#arm();
    if (read) late("read");
    if (actor) late("actor");
  }

  /** Another joins `read`, whose time begins anew with that: once, and it was not over. */
  #beginToCompare(now: number): void {
    if (!this.#readAlone) return;
    this.#readAlone = false;
    if (this.#read !== 0) this.#read += now;
  }

  #arm(): void {
    let next = Number.POSITIVE_INFINITY;
    if (this.#read !== 0) next = this.#read;
    if (this.#actor !== 0 && this.#actor < next) next = this.#actor;
    const ms = next === Number.POSITIVE_INFINITY ? 0 : Math.max(1, next - clock.now());
    this.#connection.setDeadline(ms);
  }
}
