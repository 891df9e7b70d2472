/**
 * A connection's way in: one chunk at a time to the protocol, and the socket left unread while there is a reason to.
 *
 * Owns the order (a chunk, the peer's FIN and a pause never overtake what came before them) and the limit on what is
 * read ahead of a protocol whose promise is open. A protocol that answers synchronously costs neither a promise nor
 * a microtask.
 */

import { weigh } from "../memory.ts";
import { OPEN } from "./connection-host.ts";
import { Outbound } from "./outbound.ts";

// Why the socket is not being read, as bits.
const HOLD_PENDING = 1;
const HOLD_USER = 2;
const HOLD_BLOCKED = 4;

const AT_ONCE: Promise<void> = Promise.resolve();

/** What a connection needs whose protocol has answered with a promise; most never do, and are without it. */
interface Waiting {
  /** The promise is open. */
  busy: boolean;
  /** The peer's FIN came behind what waits. */
  end: boolean;
  /** What was read since. */
  readonly chunks: Buffer[];
  bytes: number;
  settled(): void;
  rejected(error: unknown): void;
}

/** The receiving half of a connection, above the sending one. */
export abstract class Inbound extends Outbound {
  /** Why the socket is not being read; 0: it is. */
  protected hold = 0;
  private waiting: Waiting | undefined = undefined;

  abstract close(): void;

  receive(chunk: Buffer): void {
    weigh(chunk);
    if (this.busy || this.phase !== OPEN) this.readAhead(chunk);
    else this.handle(chunk);
  }

  private handle(chunk: Buffer): void {
    let pending: void | Promise<void>;
    try {
      pending = this.protocol!.data(chunk);
    } catch (error) {
      this.fail("data", error);
      return;
    }
    if (pending !== undefined) this.wait(pending);
  }

  /** A chunk came while the handler is pending. It waits; past the limit the socket is left unread. */
  private readAhead(chunk: Buffer): void {
    if (this.phase !== OPEN) return; // Closing: read and discarded.
    const { readAheadChunks, readAheadBytes } = this.host.settings;
    const waiting = this.forWaiting();
    waiting.chunks.push(chunk);
    waiting.bytes += chunk.length;
    if (waiting.chunks.length >= readAheadChunks || waiting.bytes >= readAheadBytes)
      this.holdFor(HOLD_PENDING);
  }

  private wait(pending: Promise<void>): void {
    const waiting = this.forWaiting();
    waiting.busy = true;
    Promise.resolve(pending).then(waiting.settled, waiting.rejected);
  }

  private forWaiting(): Waiting {
    this.waiting ??= {
      busy: false,
      end: false,
      chunks: [],
      bytes: 0,
      settled: () => this.goOn(),
      rejected: (error) => this.fail("data", error),
    };
    return this.waiting;
  }

  private get busy(): boolean {
    return this.waiting?.busy === true;
  }

  private get chunksWait(): boolean {
    return this.waiting !== undefined && this.waiting.chunks.length > 0;
  }

  private goOn(): void {
    const { waiting } = this;
    if (waiting === undefined) return; // Over in the meantime.
    waiting.busy = false;
    while (this.phase === OPEN && waiting.chunks.length > 0) {
      if (waiting.busy || (this.hold & ~HOLD_PENDING) !== 0) return;
      const chunk = waiting.chunks.shift()!;
      waiting.bytes -= chunk.length;
      this.handle(chunk);
    }
    if (waiting.busy || this.phase !== OPEN) return;
    this.release(HOLD_PENDING);
    if (waiting.end) this.receiveEnd();
  }

  receiveEnd(): void {
    if (this.phase !== OPEN) return;
    const { waiting } = this;
    if (waiting !== undefined) {
      waiting.end = waiting.busy || waiting.chunks.length > 0;
      if (waiting.end) return;
    }
    const protocol = this.protocol!;
    if (protocol.end === undefined) {
      this.close();
      return;
    }
    try {
      protocol.end();
    } catch (error) {
      this.fail("end", error);
    }
  }

  private holdFor(why: number): void {
    if (this.hold === 0 && this.phase === OPEN) this.socket.pause();
    this.hold |= why;
  }

  private release(why: number): void {
    if (this.hold === 0) return;
    this.hold &= ~why;
    if (this.hold === 0 && this.phase === OPEN) this.socket.resume();
  }

  pause(): void {
    this.holdFor(HOLD_USER);
  }

  resume(): void {
    this.unhold(HOLD_USER);
  }

  /** Takes a hold back and hands over what was read in the meantime, before anything newer. */
  private unhold(why: number): void {
    this.release(why);
    if (!this.busy && this.phase === OPEN && this.chunksWait) this.wait(AT_ONCE);
  }

  protected holdWhileBlocked(): void {
    this.holdFor(HOLD_BLOCKED);
  }

  protected unholdAfterBlock(): void {
    this.unhold(HOLD_BLOCKED);
  }

  /** What was read ahead will not be handled any more. */
  protected forgetInbound(): void {
    this.waiting = undefined;
  }
}
