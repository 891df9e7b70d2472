// What an HTTP/1 connection writes in this turn: gathered, so that head, small content and pipelined responses leave in
// one write.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";
import { Flow } from "@x/glisten/kit";
import type { Pieces } from "../../http1/events.ts";
import { joinsFlush, scheduleFlush } from "../flush-schedule.ts";

// Text is gathered up to this size before it is written within a turn.
const maxGathered = 64 * 1024;
// Bytes this few are cheaper copied into the gathered text than written on their own.
const maxCopied = 4 * 1024;

/** The writing side of one HTTP/1 connection. */
export class Output {
  readonly #connection: Connection;
  /** Latin-1. */
  #text = "";
  #flushScheduled = false;
  /** Blocked while the socket holds more than it should, and has not drained since. */
  readonly room: Flow = new Flow();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Bytes not yet handed to the socket. */
  get length(): number {
    return this.#text.length;
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

  /** Hands over what was gathered. */
  flush(): void {
    const text = this.#takeText();
    if (text !== "" && !this.#connection.write(text, "latin1")) this.room.block();
  }

  /** Flushes before the event loop goes on; with a crowd of others, when it has brought what there was. */
  flushSoon(): void {
    if (this.#flushScheduled) {
      joinsFlush();
      return;
    }
    this.#flushScheduled = true;
    scheduleFlush(this);
  }

  /** @internal */
  runScheduledFlush(): void {
    this.#flushScheduled = false;
    this.flush();
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
    const text = this.#takeText();
    const alone = text === "" && suffix === "";
    const parts = alone ? data : [text, data, suffix].filter((part) => part.length > 0);
    if (!this.#connection.write(parts, "latin1", onSent)) this.room.block();
  }
}

function latin1(data: Uint8Array): string {
  const buffer = data instanceof Buffer ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return buffer.toString("latin1");
}
