// What an HTTP/1 connection writes in this turn: gathered, so that head, small content and pipelined responses leave in
// one write.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";
import { Flow } from "@x/glisten/kit";
import type { Pieces } from "../../http1/events.ts";

// Text is gathered up to this size before it is written within a turn.
const maxGathered = 64 * 1024;
// Bytes this few are cheaper copied into the gathered text than written on their own.
const maxCopied = 4 * 1024;
// More than this is handed over piece by piece: of a single write nobody can see how far it has come, and a peer that
// takes a large response slowly must not look like one that takes nothing.
const maxHandedOver = 128 * 1024;

/** Bytes on their way to the socket. */
interface Held {
  readonly data: Uint8Array;
  /** How much the socket has. */
  at: number;
  readonly onSent: (() => void) | undefined;
}

/** The writing side of one HTTP/1 connection. */
export class Output {
  readonly #connection: Connection;
  readonly #onBlocked: () => void;
  /** Latin-1. */
  #text = "";
  /** What the socket is not to have yet, in order; the text comes behind it. */
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #flushScheduled = false;
  #mark = 0;
  /** Blocked while the socket holds more than it should, and has not drained since. */
  readonly room: Flow = new Flow();

  constructor(connection: Connection, onBlocked: () => void) {
    this.#connection = connection;
    this.#onBlocked = onBlocked;
  }

  /** Bytes not yet handed to the socket. */
  get length(): number {
    return this.#text.length + this.#heldBytes;
  }

  /** Queues pieces behind everything written before. `onSent` is called when the kernel has the last of their bytes. */
  write(pieces: Pieces, onSent?: () => void): void {
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as string | Uint8Array;
      if (typeof piece === "string") this.#gather(piece);
      else if (piece.length <= maxCopied && onSent === undefined) this.#gather(latin1(piece));
      else {
        // Text behind large bytes leaves in the same write.
        const next = pieces[i + 1];
        const isSuffix = typeof next === "string";
        if (isSuffix) i++;
        this.#writeBytes(piece, isSuffix ? next : "", onSent);
      }
    }
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

  /** The socket has drained: there is room again, unless what was held back fills it. */
  drained(): void {
    if (this.#handOver()) this.room.open();
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
    if (this.room.blocked || this.#held.length > 0) this.flush();
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
    if (!this.room.blocked) this.#handOver(before);
  }

  /** False: the socket is full again. */
  #handOver(before = ""): boolean {
    let text = before;
    for (;;) {
      const first = this.#held[0];
      if (first === undefined) return true;
      const { data, at } = first;
      const end = Math.min(data.length, at + maxHandedOver);
      const last = end === data.length;
      first.at = end;
      this.#heldBytes -= end - at;
      if (last) this.#held.shift();
      const piece = at === 0 && last ? data : data.subarray(at, end);
      if (!this.#send(text, piece, "", last ? first.onSent : undefined)) {
        this.#block();
        return false;
      }
      text = "";
    }
  }

  #send(text: string, data: Uint8Array, suffix: string, onSent: (() => void) | undefined): boolean {
    if (text === "" && suffix === "") return this.#connection.write(data, undefined, onSent);
    const parts = [text, data, suffix].filter((part) => part.length > 0);
    return this.#connection.write(parts, "latin1", onSent);
  }

  #block(): void {
    if (this.room.blocked) return;
    this.room.block();
    this.#mark = this.#acknowledged();
    this.#onBlocked();
  }

  #acknowledged(): number {
    return this.#connection.bytesWritten - this.#connection.bufferedAmount;
  }
}

function flushScheduled(output: Output): void {
  output.runScheduledFlush();
}

function latin1(data: Uint8Array): string {
  const buffer = data instanceof Buffer ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString("latin1");
}
