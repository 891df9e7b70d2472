// The body of a request on its way to the server, whichever protocol carries it.

import { once } from "node:events";
import type { Writable } from "node:stream";
import { Pace } from "./pace.ts";

/** A body that is sent piece by piece, as far as the server takes it. */
export class Upload {
  readonly #pace: Pace = new Pace();
  readonly #pieces: AsyncIterator<Uint8Array>;
  #isOver = false;
  /** Why there is no more of the body. */
  failure: { readonly error: unknown } | undefined = undefined;

  constructor(body: Uint8Array | AsyncIterable<Uint8Array>) {
    this.#pieces = body instanceof Uint8Array ? only(body) : body[Symbol.asyncIterator]();
  }

  /** Resolves when all of it is written; rejects when the body or the connection fails. */
  async send(write: (piece: Uint8Array) => Promise<void>): Promise<void> {
    try {
      for (let next = await this.#next(); next.done !== true; next = await this.#next()) {
        if (next.value.length > 0) await write(next.value);
        await this.#pace.step();
      }
    } finally {
      this.cancel();
    }
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      const next = await this.#pieces.next();
      if (next.done === true) this.#isOver = true;
      else if (!(next.value instanceof Uint8Array)) throw new TypeError("a body must consist of Uint8Arrays");
      return next;
    } catch (error) {
      if (!this.#isOver) this.failure = { error };
      throw error;
    }
  }

  /** Whether all of it has been read, or nobody wants the rest. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Nobody wants the rest. */
  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pieces.return?.()?.catch(() => {});
  }
}

async function* only(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield piece;
}

/** Resolves when the stream has taken enough for more to be welcome; rejects when it is closed. */
export async function writeTo(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (stream.destroyed) throw new Error("the connection is closed");
  if (stream.write(bytes)) return;
  const closed = new AbortController();
  const onClose = (): void => closed.abort();
  stream.once("close", onClose);
  try {
    await once(stream, "drain", { signal: closed.signal });
  } finally {
    stream.off("close", onClose);
  }
}
