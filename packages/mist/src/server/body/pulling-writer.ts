// Writers that pull: iterables (generators, streams) and sources (files, compressors).
//
// They ask for the next piece only while the client keeps up. Neither hears that the server is stopping: a body in
// flight is finished, and the stop deadline bounds it.

import { callUser, oneTurn } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { BodySink } from "./body-sink.ts";
import type { BodySource } from "./body-source.ts";
import type { BodyWriter } from "./body-writer.ts";
import { ChunkReader, isChunks } from "./chunk-reader.ts";
import type { IterableBody, SourceBody } from "./response-body.ts";

// A producer that never waits for anything, and a client that takes all at once, would keep the event loop to
// themselves.
const bytesPerTurn = 256 * 1024;
// What a piece counts for besides its bytes, so that empty ones are bounded too.
const pieceCost = 256;

/** Writes what an iterable yields. */
export class IterableWriter implements BodyWriter {
  readonly endsWithPeer = true;
  readonly #sink: BodySink;
  readonly #reader: ChunkReader;

  constructor(sink: BodySink, body: IterableBody) {
    if (!isChunks(body.chunks)) throw new UsageError("a chunked body takes an iterable of pieces");
    this.#sink = sink;
    this.#reader = new ChunkReader(body.chunks);
  }

  start(): void {
    this.#sink.flush(); // the head does not wait for a first piece that may be long in coming
    this.#run().catch((error) => this.#sink.fail(error));
  }

  shutdown(): void {}
  deadline(): void {}

  close(): void {
    void callUser(
      () => this.#reader.release(),
      undefined,
      (error) => this.#sink.report(error),
    );
  }

  async #run(): Promise<void> {
    const sink = this.#sink;
    let budget = bytesPerTurn;
    for (;;) {
      const { done, value } = await this.#reader.next();
      if (sink.over) return;
      if (done) break;
      budget -= value.length + pieceCost;
      sink.write(value);
      if (sink.room.blocked) await sink.room.whenRoom();
      // Room may be there again within the tick, and nobody else has had a turn then.
      if (budget < 0) {
        await oneTurn();
        budget = bytesPerTurn;
      }
      if (sink.over) return;
    }
    sink.end();
  }
}

/** Writes what a source reads. */
export class SourceWriter implements BodyWriter {
  /** What is there already, such as a file, is still sent. */
  readonly endsWithPeer = false;
  readonly #sink: BodySink;
  readonly #opened: BodySource | Promise<BodySource>;

  constructor(sink: BodySink, body: SourceBody) {
    this.#sink = sink;
    this.#opened = body.open();
    // `start` reports a rejection that comes before anybody waits for it.
    if (this.#opened instanceof Promise) this.#opened.catch(() => {});
  }

  start(): void {
    this.#run().catch((error) => this.#sink.fail(error));
  }

  shutdown(): void {}
  deadline(): void {}

  // Also closes what is opened too late.
  close(): void {
    const close = (source: BodySource) => source.close();
    if (this.#opened instanceof Promise) this.#opened.then(close, () => {});
    else close(this.#opened);
  }

  async #run(): Promise<void> {
    const sink = this.#sink;
    const source = await this.#opened;
    while (!sink.over) {
      const pulled = source.read();
      const piece = pulled instanceof Promise ? await pulled : pulled;
      if (sink.over) return;
      if (piece === null) {
        sink.end();
        return;
      }
      sink.write(piece, source.release === undefined ? undefined : () => source.release?.(piece));
      if (sink.room.blocked) await sink.room.whenRoom();
    }
  }
}
