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

  /**
   * Queues text in Latin-1, or bytes, and text in Latin-1 that belongs to them, behind everything written before.
   * False: wait for the drain.
   */
  write(data: string | Uint8Array, suffix = "", onSent?: () => void): boolean {
    if (typeof data === "string") {
      this.#gather(data + suffix);
    } else if (data.length <= maxCopied && onSent === undefined) {
      this.#gather(latin1(data) + suffix);
    } else {
      this.#writeBytes(data, suffix, onSent);
    }
    return !this.blocked;
  }

  /** Hands over what the socket should have now. */
  flush(): void {
    const text = this.#takeText();
    if (text === "") return;
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

  #takeText(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  #writeBytes(data: Uint8Array, suffix: string, onSent: (() => void) | undefined): void {
    if (this.blocked || this.#held.length > 0) this.flush();
    const text = this.#takeText();
    if (this.#held.length > 0 || data.length > maxHandedOver) {
      this.#hold(data, onSent, text);
      this.#text = suffix;
    } else if (!this.#send(text, data, suffix, onSent)) this.#block();
  }

  /** `before`: text that leaves with the first piece; there is none unless that may leave now. */
  #hold(data: Uint8Array, onSent: (() => void) | undefined, before = ""): void {
    this.#held.push({ data, at: 0, onSent });
    this.#heldBytes += data.length;
    this.#handOver(before);
  }

  #handOver(before = ""): void {
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
      if (!this.#send(before, piece, "", last ? first.onSent : undefined)) this.#block();
      before = "";
    }
  }

  #send(text: string, data: Uint8Array, suffix: string, onSent: (() => void) | undefined): boolean {
    if (text === "" && suffix === "") return this.#connection.write(data, undefined, onSent);
    const parts = [text, data, suffix].filter((part) => part.length > 0);
    return this.#connection.write(parts, "latin1", onSent);
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
