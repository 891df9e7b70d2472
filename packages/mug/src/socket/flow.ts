// The backlog below a socket, and the only place in mug that waits for room in it.

import type { Duplex } from "node:stream";
import { Deadline } from "../deadline.ts";
import { type MugError, renewed, toMugError } from "../errors.ts";
import type { WaitOptions } from "../options.ts";
import { handled } from "../unhandled.ts";

const nothing: Uint8Array = new Uint8Array(0);

interface Waiter {
  resolve(): void;
  reject(error: MugError): void;
  readonly what: string;
}

/** Bytes go in at once and in order; the promises say how far they got. */
export class Flow {
  /** Bytes written, where the stream does not count them itself. */
  written = 0;
  readonly #counts: boolean;
  #stream: Duplex;
  readonly #waiting: Set<Waiter> = new Set();
  /** Shared by all who wait for room without a limit of their own. */
  #room: Promise<void> | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#counts = !("bytesWritten" in stream);
  }

  /** Bytes that were written and that the operating system has not taken yet. */
  get buffered(): number {
    return this.#stream.writableLength;
  }

  /** TLS has been put over the stream. */
  moveTo(stream: Duplex): void {
    this.#stream = stream;
  }

  /** False when the caller should wait for room. Pieces leave together (writev), without being copied into one. */
  write(data: string | Uint8Array | readonly (string | Uint8Array)[]): boolean {
    const stream = this.#stream;
    if (typeof data === "string" || data instanceof Uint8Array) {
      if (this.#counts) this.written += Buffer.byteLength(data);
      return stream.write(data);
    }
    stream.cork();
    for (const piece of data) if (piece.length > 0) this.write(piece);
    stream.uncork();
    return !stream.writableNeedDrain && !stream.destroyed;
  }

  /** Resolves when the backlog has drained. */
  whenRoom(wait: WaitOptions | undefined): Promise<void> {
    if (wait !== undefined) return this.#wait("send", wait);
    this.#room ??= this.#wait("send", undefined);
    return this.#room;
  }

  /** Resolves when all bytes written so far have been taken, though the stream may never have been full. */
  whenFlushed(wait: WaitOptions): Promise<void> {
    return this.#wait("flush", wait, (waiter) => {
      this.#stream.write(nothing, (error) => (error ? waiter.reject(toMugError(error)) : waiter.resolve()));
    });
  }

  /** Flushes and ends the stream. A stream that is ending never drains, so those who wait for room hear from a marker. */
  finish(done: (error?: Error | null) => void): void {
    if (this.#waiting.size > 0) this.#stream.write(nothing, (error) => error || this.drained());
    this.#stream.end(done);
  }

  /** The backlog is empty. */
  drained(): void {
    this.#room = undefined;
    for (const waiter of this.#waiting) waiter.resolve();
  }

  /** The backlog will never drain. */
  abandon(reason: MugError): void {
    for (const waiter of this.#waiting) waiter.reject(renewed(reason, waiter.what));
  }

  #wait(
    what: string,
    wait: WaitOptions | undefined,
    start: (waiter: Waiter) => void = () => {},
  ): Promise<void> {
    return handled(
      new Promise((resolve, reject) => {
        const settle = (done: () => void): void => {
          stop();
          this.#waiting.delete(waiter);
          done();
        };
        const fail = (error: MugError): void => settle(() => reject(error));
        const stop = wait === undefined ? () => {} : new Deadline(wait).onExpiry(what, fail);
        const waiter: Waiter = { what, resolve: () => settle(resolve), reject: fail };
        this.#waiting.add(waiter);
        start(waiter);
      }),
    );
  }
}
