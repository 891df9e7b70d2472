// What is to be written in this turn: gathered, so that head, small content and pipelined answers leave in one write.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";

// Text is gathered up to this size before it is written within a turn.
const maxGathered = 64 * 1024;
// Bytes this few are cheaper copied into the gathered text than written on their own.
const maxCopied = 4 * 1024;
// More than this is handed over piece by piece: of a single write nobody can see how far it has come, and a peer that
// takes a large answer slowly must not look like one that takes nothing.
const maxHandedOver = 128 * 1024;

/** Bytes on their way to the socket. */
interface Held {
  readonly data: Uint8Array;
  /** How much the socket has. */
  at: number;
  readonly onSent: (() => void) | undefined;
}

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
  /** What the socket is not to have yet, in order; the text comes behind it. */
  readonly #held: Held[] = [];
  #heldBytes = 0;
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
    return this.#text.length + this.#heldBytes;
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

  /** Hands over what the socket should have now. */
  flush(): void {
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    if (this.#held.length > 0 || text.length > maxHandedOver)
      this.#hold(Buffer.from(text, "latin1"), undefined);
    else if (!this.#connection.write(text, "latin1")) this.#block();
  }

  /** Hands over everything there is: the connection is about to close, or to go on in another protocol. */
  flushAll(): void {
    this.flush();
    this.#heldBytes = 0;
    for (const { data, at, onSent } of this.#held.splice(0)) {
      this.#connection.write(at === 0 ? data : data.subarray(at), undefined, onSent);
    }
  }

  /** The socket has drained. False: it is full again. */
  drained(): boolean {
    this.blocked = false;
    this.#handOver();
    return !this.blocked;
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
    if (this.#held.length > 0 || data.length > maxHandedOver) this.#hold(data, onSent);
    else if (!this.#connection.write(data, undefined, onSent)) this.#block();
    this.#connection.uncork();
  }

  #hold(data: Uint8Array, onSent: (() => void) | undefined): void {
    this.#held.push({ data, at: 0, onSent });
    this.#heldBytes += data.length;
    this.#handOver();
  }

  #handOver(): void {
    while (!this.blocked) {
      const first = this.#held[0];
      if (first === undefined) return;
      const { data, at } = first;
      const end = Math.min(data.length, at + maxHandedOver);
      const last = end === data.length;
      first.at = end;
      this.#heldBytes -= end - at;
      if (last) this.#held.shift();
      const piece = at === 0 && last ? data : data.subarray(at, end);
      if (!this.#connection.write(piece, undefined, last ? first.onSent : undefined)) this.#block();
    }
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
