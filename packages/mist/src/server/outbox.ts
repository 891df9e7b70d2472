// What is to be written in this turn: gathered, so that head, small content and pipelined answers leave in one write.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";

// Text is gathered up to this size before it is written within a turn.
const maxGathered = 64 * 1024;
// Bytes this few are cheaper copied into the gathered text than written on their own.
const maxCopied = 4 * 1024;

/** Hears that the socket holds more than it should. */
export interface OutboxOwner {
  outboxBlocked(): void;
}

/** The writing side of one HTTP connection. */
export class Outbox {
  readonly #connection: Connection;
  readonly #owner: OutboxOwner;
  /** Latin-1. */
  #text = "";
  #flushScheduled = false;
  #mark = 0;
  /** The socket holds more than it should, and has not drained since. */
  blocked = false;

  constructor(connection: Connection, owner: OutboxOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  /** Characters, that is bytes, not yet handed to the socket. */
  get length(): number {
    return this.#text.length;
  }

  /** Queues text in Latin-1, or bytes, behind everything written before. False: wait for the drain. */
  write(data: string | Uint8Array, onSent?: () => void): boolean {
    if (typeof data === "string") {
      this.#gather(data);
    } else if (data.length <= maxCopied && onSent === undefined) {
      this.#gather(latin1(data));
    } else {
      this.#writeBytes(data, onSent);
    }
    return !this.blocked;
  }

  /** Hands everything to the socket. */
  flush(): void {
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    if (!this.#connection.write(text, "latin1")) this.#block();
  }

  /** Flushes before the event loop goes on. */
  flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(flushScheduled, this);
  }

  /** @internal */
  runScheduledFlush(): void {
    this.#flushScheduled = false;
    this.flush();
  }

  /** Whether the peer has taken anything since the last time this was asked, or since the socket was blocked. */
  progressed(): boolean {
    const before = this.#mark;
    this.#mark = this.#acknowledged();
    return this.#mark > before;
  }

  #gather(text: string): void {
    this.#text += text;
    if (this.#text.length > maxGathered) this.flush();
  }

  #writeBytes(data: Uint8Array, onSent: (() => void) | undefined): void {
    this.#connection.cork();
    this.flush();
    const room = this.#connection.write(data, undefined, onSent);
    this.#connection.uncork();
    if (!room) this.#block();
  }

  #block(): void {
    this.blocked = true;
    this.#mark = this.#acknowledged();
    this.#owner.outboxBlocked();
  }

  #acknowledged(): number {
    return this.#connection.bytesWritten - this.#connection.bufferedAmount;
  }
}

function flushScheduled(outbox: Outbox): void {
  outbox.runScheduledFlush();
}

function latin1(data: Uint8Array): string {
  const buffer = data instanceof Buffer ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString("latin1");
}
