// Writers that pull: iterables (generators, streams) and sources (files, compressors).
//
// They ask for the next piece only while the peer keeps up.

import type { Fields } from "../http/fields.ts";
import type { BodySource } from "./body-source.ts";
import type { Exchange } from "./exchange.ts";
import type { IterableBody, SourceBody } from "./response-body.ts";
import type { BodyWriter } from "./response-writer.ts";

// A producer that waits until the peer has taken what was written.
abstract class PullingWriter implements BodyWriter {
  protected readonly exchange: Exchange;
  #wake: (() => void) | undefined = undefined;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

  abstract start(): void;

  drain(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  peerEnded(): void {} // the rest is still sent: a half-closed client reads on
  shutdown(): void {} // a body in flight is finished; the stop deadline bounds it
  deadline(): void {}

  close(): void {
    this.drain();
    this.release();
  }

  /** Resolves when there is room again, or the response is over. */
  protected room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  protected abstract release(): void;
}

/** Writes what an iterable yields. */
export class IterableWriter extends PullingWriter {
  readonly #body: IterableBody;
  readonly #iterator: Iterator<string | Uint8Array> | AsyncIterator<string | Uint8Array>;
  #finished = false;

  constructor(exchange: Exchange, body: IterableBody) {
    super(exchange);
    this.#body = body;
    const { chunks } = body;
    this.#iterator =
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  }

  start(): void {
    this.#run().catch((error) => {
      this.#finished = true;
      this.exchange.fail(error);
    });
  }

  async #run(): Promise<void> {
    while (!this.exchange.over) {
      const next = await this.#iterator.next();
      if (next.done) {
        await this.#end();
        return;
      }
      if (!this.exchange.over && !this.exchange.writeBody(next.value)) await this.room();
    }
  }

  async #end(): Promise<void> {
    this.#finished = true;
    const trailers: Fields | undefined = await this.#body.trailers?.();
    this.exchange.endBody(trailers);
  }

  protected release(): void {
    if (this.#finished) return;
    this.#finished = true;
    try {
      // Also wakes a generator out of its `finally`; what it throws there has no hearer left.
      Promise.resolve(this.#iterator.return?.()).catch(() => {});
    } catch {
      // A synchronous iterator's `return` may throw; the response is over either way.
    }
  }
}

/** Writes what a source reads. */
export class SourceWriter extends PullingWriter {
  readonly #opened: BodySource | Promise<BodySource>;
  #released = false;

  constructor(exchange: Exchange, body: SourceBody) {
    super(exchange);
    this.#opened = body.open();
    // Rejected before anybody waits for it, it is `start` that tells.
    if (this.#opened instanceof Promise) this.#opened.catch(() => {});
  }

  start(): void {
    this.#run().catch((error) => this.exchange.fail(error));
  }

  async #run(): Promise<void> {
    const source = await this.#opened;
    while (!this.exchange.over) {
      const pulled = source.read();
      const piece = pulled instanceof Promise ? await pulled : pulled;
      if (this.exchange.over) return;
      if (piece === null) {
        this.exchange.endBody();
        return;
      }
      const onSent = source.release === undefined ? undefined : () => source.release?.(piece);
      if (!this.exchange.writeBody(piece, onSent)) await this.room();
    }
  }

  // Also closes what is opened too late.
  protected release(): void {
    if (this.#released) return;
    this.#released = true;
    const close = (source: BodySource) => source.close();
    if (this.#opened instanceof Promise) this.#opened.then(close, () => {});
    else close(this.#opened);
  }
}
