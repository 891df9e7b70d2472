// What the peer has not taken yet: the callers that wait for room, and the bytes that are held back from the socket.
//
// A connection gets one when its peer first takes less than it is given. Large writes reach the socket in pieces:
// the progress of a single write cannot be seen, and a peer that takes it slowly would look like one that takes nothing
// (see `send-deadline.ts`).

import type { Socket } from "node:net";
import { TransportError } from "../../errors.ts";
import { Flow } from "../../flow.ts";
import type { Sendable } from "../../transport/sendable.ts";
import { onDrain } from "./socket-listeners.ts";

/** More than this is handed to the socket piece by piece. */
export const pieceBytes: number = 128 * 1024;

interface Held {
  readonly data: string | Uint8Array;
  readonly encoding: "utf8" | "latin1";
  /** How much of it the socket has. */
  at: number;
  readonly onSent: (() => void) | undefined;
}

/** The bytes, or for text the characters, of what is to be sent. */
export function lengthOf(data: Sendable): number {
  if (typeof data === "string" || data instanceof Uint8Array) return data.length;
  let length = 0;
  for (const part of data) length += part.length;
  return length;
}

/** The sending side of a connection whose peer is slower than its protocol. */
export class Outbound {
  readonly #socket: Socket;
  readonly #highWaterMark: number;
  readonly #flow: Flow = new Flow();
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #listening = false;
  #ending = false;

  constructor(socket: Socket, highWaterMark: number) {
    this.#socket = socket;
    this.#highWaterMark = highWaterMark;
  }

  /** Bytes that the socket does not have yet. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether more is unwelcome until the socket has drained. */
  get blocked(): boolean {
    return this.#flow.blocked;
  }

  /** Resolves when more is welcome; rejects when the connection is gone. */
  whenRoom(): Promise<void> {
    return this.#flow.whenRoom();
  }

  /** More is not welcome until the socket has drained. */
  block(): void {
    this.#flow.block();
    if (this.#listening) return;
    this.#listening = true;
    // Few connections are ever blocked: only they listen.
    this.#socket.once("drain", onDrain);
  }

  /** Takes what is too large for one write, or comes behind it. False: more is not welcome. */
  write(data: Sendable, encoding: "utf8" | "latin1", onSent: (() => void) | undefined): boolean {
    const parts = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
    const last = parts.length - 1;
    parts.forEach((part, index) => {
      // Text can be cut at bytes only.
      const bytes = typeof part === "string" && part.length > pieceBytes ? Buffer.from(part, encoding) : part;
      this.#held.push({ data: bytes, encoding, at: 0, onSent: index === last ? onSent : undefined });
      this.#heldBytes += sizeOf(bytes, encoding);
    });
    return this.#handOver();
  }

  /** The socket has drained. False: nothing waited for it, or it is full again. */
  drained(): boolean {
    if (!this.#listening) return false;
    this.#listening = false;
    if (!this.#handOver()) return false;
    this.#flow.open();
    return true;
  }

  /** Sends FIN behind everything that is held. */
  end(): void {
    this.#ending = true;
    if (this.#held.length === 0) this.#socket.end();
  }

  /** The connection is gone: nothing will be taken any more. */
  abandon(): void {
    this.#flow.abandon(closedError);
    this.#heldBytes = 0;
    for (const { onSent } of this.#held.splice(0)) onSent?.();
  }

  /** Gives the socket what it may have now. False: it is full. */
  #handOver(): boolean {
    const socket = this.#socket;
    while (this.#held.length > 0) {
      if (socket.writableLength > this.#highWaterMark) break;
      socket.cork();
      this.#writePiece();
      socket.uncork();
    }
    if (this.#held.length === 0 && this.#ending && !socket.writableEnded) socket.end();
    if (socket.writableLength <= this.#highWaterMark) return true;
    this.block();
    return false;
  }

  #writePiece(): void {
    for (let room = pieceBytes; room > 0; ) {
      const first = this.#held[0];
      if (first === undefined) return;
      const { data, encoding, at, onSent } = first;
      const end = Math.min(data.length, at + room);
      const isLast = end === data.length;
      const piece = typeof data === "string" || (at === 0 && isLast) ? data : data.subarray(at, end);
      first.at = end;
      if (isLast) this.#held.shift();
      const size = sizeOf(piece, encoding);
      this.#heldBytes -= size;
      room -= size;
      this.#socket.write(piece as string, encoding, isLast ? onSent : undefined);
    }
  }
}

function sizeOf(data: string | Uint8Array, encoding: "utf8" | "latin1"): number {
  return typeof data === "string" ? Buffer.byteLength(data, encoding) : data.byteLength;
}

function closedError(): TransportError {
  return new TransportError("closed");
}
