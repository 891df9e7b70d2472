// The stream of a Response: gathered while it has something to say, then pulled as the client takes it.
//
// Most streams are not streamed: middleware wraps a text, a Blob or a form, and all of it is there at once. What ends
// within its first turn of the event loop leaves as a whole, with its length. The others lose nothing: their head,
// and the pieces of that turn, leave in one write when the turn is over. No first piece waits for a timer.

import { Buffer } from "node:buffer";
import { isUint8Array } from "node:util/types";
import { clock, shown, type Timer } from "@x/glisten/kit";
import { ChunkReader } from "../server/body/chunk-reader.ts";

type Chunk = string | Uint8Array;

/** Bytes gathered before the rest is streamed; a last piece goes beyond. */
const maxGathered = 64 * 1024;
/** What a piece counts for besides its bytes, so that empty ones are bounded too. */
const pieceCost = 256;
/** A compressor gives the head of its format at once (RFC 1952 §2.3: 10 bytes, RFC 1950 §2.2: 2), which is no content. */
const codingHead = 10;
/** How long the head waits for a compressor, which has its own threads do the work and so never ends within a turn. */
const compressorMs = 25;

/** Reads bytes, and text as UTF-8. Rejects anything else. */
export class ResponseChunks implements AsyncIterableIterator<Chunk> {
  readonly #reader: ChunkReader;
  #gathered: Chunk[] = [];
  /** Begun while gathering; its piece comes behind the gathered ones. */
  #underWay: Promise<IteratorResult<Chunk>> | undefined = undefined;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = new ChunkReader(stream as ReadableStream<Uint8Array> & AsyncIterable<Uint8Array>);
  }

  /**
   * Gathers what comes within this turn. Resolves with the content if that was all of it, else with undefined, and
   * rejects with what the stream fails with.
   *
   * @param compressed a compressor makes it, which is waited for a little longer.
   */
  gather(compressed: boolean): Promise<Chunk | undefined> {
    return new Promise((resolve, reject) => {
      let size = 0;
      let over = false;
      let timer: Timer | undefined;
      const finish = () => {
        over = true;
        clock.clearTimer(timer);
      };
      const rest = () => {
        if (over) return;
        finish();
        resolve(undefined);
      };
      const turnIsOver = () => {
        if (!compressed || size > codingHead) rest();
        else if (!over) timer = clock.setTimer(rest, compressorMs);
      };
      const take = ({ done, value }: IteratorResult<Chunk>) => {
        if (over) return;
        this.#underWay = undefined;
        if (done) {
          finish();
          resolve(joined(this.#gathered));
          return;
        }
        this.#gathered.push(value);
        const began = size > codingHead;
        size += value.length;
        // A compressor's last piece and its end come in one turn.
        if (compressed && !began && size > codingHead) clock.nextTurn(turnIsOver);
        if (size + this.#gathered.length * pieceCost > maxGathered && this.#gathered.length > 1) rest();
        else read();
      };
      const fail = (error: unknown) => {
        if (over) return; // the reader of `#underWay` hears of it
        finish();
        reject(error);
      };
      const read = () => {
        this.#underWay = this.#read();
        this.#underWay.then(take, fail);
      };
      clock.nextTurn(turnIsOver);
      read();
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Chunk>> {
    const value = this.#gathered.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    const underWay = this.#underWay ?? this.#read();
    this.#underWay = undefined;
    return underWay;
  }

  async return(): Promise<IteratorResult<Chunk>> {
    this.#gathered = [];
    await this.#reader.release();
    return { done: true, value: undefined };
  }

  async #read(): Promise<IteratorResult<Chunk>> {
    const result = await this.#reader.next();
    if (result.done || typeof result.value === "string" || isUint8Array(result.value)) return result;
    await this.#reader.release();
    throw new TypeError(
      `the stream of a Response must hold Uint8Arrays or strings, got ${shown(result.value)}`,
    );
  }
}

function joined(chunks: readonly Chunk[]): Chunk {
  const [first = ""] = chunks;
  if (chunks.length <= 1) return first;
  return Buffer.concat(chunks.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk)));
}
