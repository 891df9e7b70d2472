// One coarse clock for every deadline of a server: handshakes, idle peers, lingering closes.
//
// A slot holds a doubly linked ring of entries, so arming, moving and clearing cost a few field writes and
// no allocation. Moving a deadline later does not touch the ring at all: the entry stays where it is and is
// put forward when its slot comes up. That makes "again, 75 seconds from now" per request almost free.
//
// The wheel counts its own turns rather than the wall clock. While the event loop is blocked no turn passes,
// so a peer whose bytes already wait in the kernel is not punished for our own stall.

import { clock, type Timer } from "../clock.ts";

const slots = 512;

/**
 * Granularity of every deadline kept here, in milliseconds. A deadline is never early, and late by at most two turns.
 */
export const turnMs = 100;

/** Something that can be due. The fields are the wheel's; they start as 0 and undefined. */
export interface Timed {
  /** The turn at which this is due; 0 when nothing is armed. */
  dueTurn: number;
  /** The turn whose slot holds the entry; 0 when it is in none. */
  slotTurn: number;
  next: Timed | undefined;
  previous: Timed | undefined;
  /** Called once when the armed instant has passed. */
  due(): void;
}

/** The deadlines of one server. */
export class TimerWheel {
  readonly #slots: (Timed | undefined)[] = new Array<Timed | undefined>(slots).fill(undefined);
  #turn = 1;
  #held = 0;
  #lastTurnAt = 0;
  #timer: Timer | undefined = undefined;

  /** Due in `ms` milliseconds, instead of whenever it was due before. */
  arm(entry: Timed, ms: number): void {
    // The turn under way is partly over and the first must be whole: hence one more.
    const dueTurn = this.#turn + Math.ceil(ms / turnMs) + 1;
    entry.dueTurn = dueTurn;
    if (entry.slotTurn !== 0) {
      if (entry.slotTurn <= dueTurn) return;
      this.#unlink(entry);
    }
    this.#link(entry);
  }

  /** Cancels the deadline. The entry leaves its slot lazily, so that arming it again stays cheap. */
  disarm(entry: Timed): void {
    entry.dueTurn = 0;
  }

  /** Forgets the entry at once: its owner is gone and must not be kept alive by a slot. */
  remove(entry: Timed): void {
    entry.dueTurn = 0;
    if (entry.slotTurn !== 0) this.#unlink(entry);
  }

  /** How many entries stand in slots. */
  get size(): number {
    return this.#held;
  }

  stop(): void {
    clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #link(entry: Timed): void {
    const slotTurn = Math.min(entry.dueTurn, this.#turn + slots - 1);
    const slot = slotTurn % slots;
    const first = this.#slots[slot];
    entry.slotTurn = slotTurn;
    entry.previous = undefined;
    entry.next = first;
    if (first !== undefined) first.previous = entry;
    this.#slots[slot] = entry;
    this.#held += 1;
    if (this.#timer === undefined) this.#start();
  }

  #unlink(entry: Timed): void {
    const { next, previous } = entry;
    if (previous === undefined) this.#slots[entry.slotTurn % slots] = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    entry.next = undefined;
    entry.previous = undefined;
    entry.slotTurn = 0;
    this.#held -= 1;
  }

  #start(): void {
    this.#lastTurnAt = clock.now();
    this.#awaitTick();
  }

  #awaitTick(): void {
    this.#timer = clock.setTimer(this.#tick, turnMs);
    this.#timer.unref();
  }

  readonly #tick = (): void => {
    this.#awaitTick();
    const now = clock.now();
    // A late timer makes up for a little drift, never for a stall.
    const turns = now - this.#lastTurnAt >= 2 * turnMs ? 2 : 1;
    this.#lastTurnAt = turns === 2 ? now : this.#lastTurnAt + turnMs;
    for (let i = 0; i < turns; i++) this.#advance();
    if (this.#held === 0) this.stop();
  };

  #advance(): void {
    this.#turn += 1;
    const turn = this.#turn;
    let entry = this.#slots[turn % slots];
    while (entry !== undefined) {
      this.#unlink(entry);
      const dueTurn = entry.dueTurn;
      if (dueTurn > turn) this.#link(entry);
      else if (dueTurn !== 0) {
        entry.dueTurn = 0;
        entry.due();
      }
      // Nothing is ever linked into the slot being emptied: a new deadline lies at least two turns ahead,
      // one put forward at least one turn and at most a whole wheel less one.
      entry = this.#slots[turn % slots];
    }
  }
}
