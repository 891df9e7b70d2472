// The deadline of a peer that does not take what is written to it.
//
// A connection has one while bytes wait for its peer, however many write. It starts with a patience of `sendMs`. Time
// uses the patience up, and every byte the peer takes gives back `1 / minSendRate` seconds, up to `sendMs`. So a peer
// that takes nothing is cut off after `sendMs`, and one that takes more than `minSendRate` on average is served.
//
// Taken is what the kernel accepted; where it tells no more (it has a send buffer of its own), what the peer has
// acknowledged. Progress then comes in steps of a segment: over the loopback, up to 128 KiB.

import type { Socket } from "node:net";
import { clock } from "../../clock.ts";
import { type Timed, type TimerWheel, turnMs } from "../../server/timer-wheel.ts";
import { unacknowledgedBytes } from "../../transport/unacknowledged.ts";

/** The connection, as its send deadline sees it. */
export interface Debtor {
  readonly socket: Socket;
  /** The socket below TLS. */
  readonly raw: Socket | undefined;
  /** Bytes written so far, waiting ones included. */
  readonly bytesWritten: number;
  /** Bytes that wait. */
  readonly bufferedAmount: number;
  /** Nothing waits any more: the deadline is over. */
  sendSettled(): void;
  /** The peer has used up its patience. */
  sendExpired(): void;
}

/** How often progress is looked for within the deadline. */
const looks = 8;

/** The patience with one peer. */
export class SendDeadline implements Timed {
  dueTurn = 0;
  slotTurn = 0;
  next: Timed | undefined = undefined;
  previous: Timed | undefined = undefined;
  readonly #debtor: Debtor;
  readonly #wheel: TimerWheel;
  readonly #bytesPerMs: number;
  #limitMs: number;
  #leftMs: number;
  #accepted: number;
  #unacknowledged: number | undefined = undefined;
  #lookedAt: number;
  #over = false;

  constructor(debtor: Debtor, wheel: TimerWheel, sendMs: number, minSendRate: number) {
    this.#debtor = debtor;
    this.#wheel = wheel;
    this.#bytesPerMs = minSendRate / 1000;
    this.#limitMs = sendMs;
    this.#leftMs = sendMs;
    this.#accepted = acceptedBy(debtor);
    this.#lookedAt = clock.now();
    this.#arm();
  }

  /** Leaves the peer this much at most. */
  shorten(sendMs: number): void {
    this.#limitMs = Math.min(this.#limitMs, sendMs);
    this.#leftMs = Math.min(this.#leftMs, sendMs);
    this.#arm();
  }

  /** Nobody waits for the peer any more. */
  stop(): void {
    this.#over = true;
    this.#wheel.remove(this);
  }

  due(): void {
    const debtor = this.#debtor;
    if (debtor.bufferedAmount === 0) {
      debtor.sendSettled();
      return;
    }
    const accepted = acceptedBy(debtor);
    const taken = accepted - this.#accepted;
    this.#accepted = accepted;
    if (taken > 0) {
      this.#unacknowledged = undefined;
      this.#judge(taken);
      return;
    }
    unacknowledgedBytes(debtor.raw ?? debtor.socket, (bytes) => {
      if (this.#over) return;
      const before = this.#unacknowledged;
      this.#unacknowledged = bytes;
      // More than before: the kernel had room, and took the next part of a write that is not complete yet.
      this.#judge(before === undefined || bytes === undefined ? 0 : Math.abs(before - bytes));
    });
  }

  #judge(taken: number): void {
    const now = clock.now();
    // While our own event loop stands still the peer is not to blame.
    const elapsed = Math.min(now - this.#lookedAt, 2 * this.#lookMs() + 2 * turnMs);
    this.#lookedAt = now;
    // Without a minimum rate, any byte earns the whole patience.
    const earnedMs = taken === 0 ? 0 : taken / this.#bytesPerMs;
    this.#leftMs = Math.min(this.#limitMs, this.#leftMs - elapsed + earnedMs);
    if (this.#leftMs <= 0) this.#debtor.sendExpired();
    else this.#arm();
  }

  #lookMs(): number {
    return this.#limitMs / looks;
  }

  #arm(): void {
    this.#wheel.arm(this, Math.min(this.#lookMs(), this.#leftMs));
  }
}

function acceptedBy(debtor: Debtor): number {
  return debtor.bytesWritten - debtor.bufferedAmount;
}
