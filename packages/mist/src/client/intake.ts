// What a stream brings, piece by piece: a piece is asked for only when the one before it has been taken.
//
// Not the stream's own iterator: a stream that it has begun to read can no longer be drained, and Node destroys HTTP/2
// streams whose end nobody has read yet.

import type { Readable } from "node:stream";
import { Pace } from "./pace.ts";

export class Intake {
  readonly #stream: Readable;
  readonly #pieces: Buffer[] = [];
  readonly #pace: Pace = new Pace();
  #outcome: { readonly failure: unknown } | undefined = undefined;
  #dropping = false;
  #wake: () => void = () => {};

  /**
   * @param failure why the stream ends early; undefined: it does not. Asked once, at its end.
   * @param over called with the same.
   */
  constructor(stream: Readable, failure: () => unknown, over: (failure: unknown) => void = () => {}) {
    this.#stream = stream;
    const settle = (): void => {
      if (this.#outcome !== undefined) return;
      this.#outcome = { failure: failure() };
      this.#wake();
      over(this.#outcome.failure);
    };
    stream.on("data", (piece: Buffer) => {
      if (this.#dropping) return;
      this.#pieces.push(piece);
      stream.pause();
      this.#wake();
    });
    stream.once("end", settle).once("close", settle);
    if (stream.destroyed) settle();
  }

  /** The next piece; undefined: there is none. Rejects with the failure. */
  async next(): Promise<Buffer | undefined> {
    await this.#pace.step();
    while (this.#pieces.length === 0 && this.#outcome === undefined) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#stream.resume();
      await woken;
    }
    const piece = this.#pieces.shift();
    if (piece === undefined && this.#outcome?.failure !== undefined) throw this.#outcome.failure;
    return piece;
  }

  /** Nobody takes anything any more. */
  drop(): void {
    this.#dropping = true;
    this.#pieces.length = 0;
    this.#stream.resume();
  }
}
