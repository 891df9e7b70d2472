// Reads an iterable of body pieces, and lets go of it on every way out.
//
// Asked to return, the iterator of a web stream, and the generator behind that of a Node stream, would first wait for
// the piece that was asked for last, which may never come. Those are read and cancelled, or destroyed, as themselves.

/** What a body can be made of. */
export type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

type Chunk = string | Uint8Array;
type Pulled = IteratorResult<Chunk> | Promise<IteratorResult<Chunk>>;

/** What an iterable may offer before anybody has iterated over it: a generator, a Node stream. */
interface Releasable {
  return?(value: undefined): unknown;
  destroy?(): unknown;
}

/** Reads `chunks`, one piece at a time. Nothing of it runs before the first `next`. */
export class ChunkReader {
  readonly #chunks: Chunks;
  #iterator: Iterator<Chunk> | AsyncIterator<Chunk> | undefined = undefined;
  #reader: ReadableStreamDefaultReader<Chunk> | undefined = undefined;
  #finished = false;

  constructor(chunks: Chunks) {
    this.#chunks = chunks;
  }

  /** The next piece. Throws or rejects with what the producer fails with, which ends it. */
  next(): Pulled {
    try {
      const pulled = this.#pull();
      if (!(pulled instanceof Promise)) return this.#taken(pulled);
      return pulled.then(
        (result) => this.#taken(result),
        (error) => this.#failed(error),
      );
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Lets go of the producer, unless it is at its end. Gives, or throws, what it answers with. */
  release(): unknown {
    if (this.#finished) return undefined;
    this.#finished = true;
    const chunks = this.#chunks;
    if (this.#reader !== undefined) return this.#reader.cancel();
    if (isWebStream(chunks)) return chunks.cancel();
    const held = chunks as Releasable;
    if (typeof held.destroy === "function") return held.destroy();
    if (this.#iterator !== undefined) return this.#iterator.return?.();
    // A generator that was never started runs none of its code.
    return held.return?.(undefined);
  }

  #pull(): Pulled {
    if (this.#iterator === undefined && this.#reader === undefined) this.#begin();
    if (this.#reader !== undefined) return this.#reader.read() as Promise<IteratorResult<Chunk>>;
    return (this.#iterator as Iterator<Chunk>).next();
  }

  #begin(): void {
    const chunks = this.#chunks;
    if (isWebStream(chunks)) this.#reader = chunks.getReader();
    else if (Symbol.asyncIterator in chunks) this.#iterator = chunks[Symbol.asyncIterator]();
    else this.#iterator = chunks[Symbol.iterator]();
  }

  #taken(result: IteratorResult<Chunk>): IteratorResult<Chunk> {
    if (result.done) this.#finished = true;
    return result;
  }

  // A producer that failed is at its end; asked to return, it might fail again.
  #failed(error: unknown): never {
    this.#finished = true;
    throw error;
  }
}

/** Whether a reader can be made of this. */
export function isChunks(chunks: Chunks): boolean {
  return Symbol.asyncIterator in chunks || Symbol.iterator in chunks || isWebStream(chunks);
}

// Of any realm and make, an undici of its own for one.
function isWebStream(chunks: Chunks): chunks is Chunks & ReadableStream<Chunk> {
  return typeof (chunks as Partial<ReadableStream>).getReader === "function";
}
