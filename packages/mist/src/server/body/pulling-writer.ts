// Writers that pull: iterables (generators, streams) and sources (files, compressors).
//
// They ask for the next piece only while the peer keeps up.

import { callUser } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Fields } from "../../http/fields.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { BodySource } from "./body-source.ts";
import { releaseIterable } from "./release.ts";
import type { IterableBody, SourceBody } from "./response-body.ts";
import type { BodyWriter } from "./response-writer.ts";

// A producer that never waits for anything, and a peer that takes all at once, would keep the event loop to themselves.
const bytesPerTurn = 256 * 1024;
// What a piece counts for besides its bytes, so that empty ones are bounded too.
const pieceCost = 256;

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
  /** Made when the writing starts: a stream begins to work when it is asked for its iterator. */
  #iterator: Iterator<string | Uint8Array> | AsyncIterator<string | Uint8Array> | undefined = undefined;
  #finished = false;

  constructor(exchange: Exchange, body: IterableBody) {
    super(exchange);
    if (!(Symbol.asyncIterator in body.chunks || Symbol.iterator in body.chunks))
      throw new UsageError("a chunked body takes an iterable of pieces");
    this.#body = body;
  }

  start(): void {
    this.exchange.host.flushSoon(); // the head does not wait for a first piece that may be long in coming
    this.#run().catch((error) => this.exchange.fail(error));
  }

  async #run(): Promise<void> {
    const { chunks } = this.#body;
    const iterator =
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
    this.#iterator = iterator;
    let budget = bytesPerTurn;
    while (!this.exchange.over) {
      const next = await this.#next(iterator);
      if (next.done) {
        await this.#end();
        return;
      }
      if (this.exchange.over) return;
      budget -= next.value.length + pieceCost;
      if (!this.exchange.writeBody(next.value)) await this.room();
      // Room may be there again within the tick; that is no turn for others.
      if (budget < 0) {
        await nextTurn();
        budget = bytesPerTurn;
      }
    }
  }

  async #next(
    iterator: Iterator<string | Uint8Array> | AsyncIterator<string | Uint8Array>,
  ): Promise<IteratorResult<string | Uint8Array>> {
    try {
      return await iterator.next();
    } catch (error) {
      this.#finished = true; // one that failed is at its end; asked to return, it might fail again
      throw error;
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
    const iterator = this.#iterator;
    const { exchange } = this;
    const report = (error: unknown): void => {
      // Rejecting with the abort reason is not a failure of the producer.
      if (error !== exchange.gone) exchange.report(error, "body");
    };
    if (iterator === undefined) releaseIterable(this.#body.chunks, report);
    else void callUser(() => iterator.return?.(), undefined, report); // runs a generator's `finally`
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

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
