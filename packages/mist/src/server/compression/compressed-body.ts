// Bodies in front of which a content coder stands: each kind of streamed body stays of its kind.
//
// A source (a file) is coded for size. What is produced as it comes, iterables and actors, is flushed whenever the
// producer has nothing more to give at the moment, so that no piece waits in the coder for the next one.
// A coder is made when the body is begun; one that is never sent costs nothing.

import { Flow, oneTurn, quietRejection } from "@x/glisten/kit";
import type { ContentCoding } from "../../http/content-negotiation.ts";
import { defaultMaxBufferedBytes, responseOver } from "../body/actor-writer.ts";
import type { BodySource } from "../body/body-source.ts";
import { ChunkReader, type Chunks } from "../body/chunk-reader.ts";
import type { ActorBody, ActorBodyWriter, IterableBody, SourceBody } from "../body/response-body.ts";
import type { ResponseStream } from "../body/response-stream.ts";
import { ContentCoder, toBytes } from "./content-coder.ts";

type Chunk = string | Uint8Array;

// Input goes to the coder in pieces of this size at most, so that output leaves while a large chunk is being coded.
const pieceSize = 64 * 1024;

/** `body`, coded. Its length is not known beforehand any more. */
export function compressedSource(body: SourceBody, coding: ContentCoding, level: number): SourceBody {
  return {
    kind: "source",
    length: undefined,
    open: () => {
      const opened = body.open();
      const wrap = (source: BodySource) => new CompressedSource(source, new ContentCoder(coding, level));
      return opened instanceof Promise ? opened.then(wrap) : wrap(opened);
    },
    discard: () => body.discard?.(),
  };
}

class CompressedSource implements BodySource {
  readonly #source: BodySource;
  readonly #coder: ContentCoder;
  #ended = false;

  constructor(source: BodySource, coder: ContentCoder) {
    this.#source = source;
    this.#coder = coder;
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const coded = this.#coder.take();
      if (coded !== undefined) return coded;
      if (this.#ended) return null;
      const piece = await this.#source.read();
      if (piece === null) {
        this.#ended = true;
        await this.#coder.end();
      } else {
        await this.#coder.write(piece);
        this.#source.release?.(piece);
      }
    }
  }

  close(): void {
    this.#coder.close();
    this.#source.close();
  }
}

/** `body`, coded. */
export function compressedIterable(body: IterableBody, coding: ContentCoding, level: number): IterableBody {
  return {
    kind: "iterable",
    chunks: new CompressedChunks(body.chunks, coding, level),
  };
}

// No generator: its `return` would wait for a `next` that is under way, and with it for a producer that may never
// speak again.
class CompressedChunks implements AsyncIterableIterator<Uint8Array> {
  readonly #reader: ChunkReader;
  readonly #coding: ContentCoding;
  readonly #level: number;
  #coder: ContentCoder | undefined;
  /** Asked of the producer and not yet used. */
  #pending: IteratorResult<Chunk> | Promise<IteratorResult<Chunk>> | undefined;
  /** Given by the producer and not yet coded. */
  #rest: Uint8Array | undefined;
  #unflushed = false;
  #finished = false;

  constructor(chunks: Chunks, coding: ContentCoding, level: number) {
    this.#reader = new ChunkReader(chunks);
    this.#coding = coding;
    this.#level = level;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    try {
      this.#coder ??= new ContentCoder(this.#coding, this.#level);
      for (;;) {
        const coded = this.#coder.take();
        if (coded !== undefined) return { done: false, value: coded };
        if (this.#finished) {
          this.#coder.close();
          return { done: true, value: undefined };
        }
        await this.#step(this.#coder);
      }
    } catch (error) {
      this.#finished = true;
      this.#coder?.close();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#finished) {
      this.#finished = true;
      this.#coder?.close();
      // What was asked for may still fail; nobody is left to hear of it.
      if (this.#pending instanceof Promise) this.#pending.catch(() => {});
      await this.#reader.release();
    }
    return { done: true, value: undefined };
  }

  /** One operation: code a piece, flush, end, or wait for the producer. */
  async #step(coder: ContentCoder): Promise<void> {
    if (this.#rest !== undefined) return this.#codeRest(coder, this.#rest);
    this.#pending ??= this.#reader.next();
    if (this.#unflushed && !(await isSoon(this.#pending))) {
      this.#unflushed = false;
      return coder.flush();
    }
    const result = await this.#pending;
    this.#pending = undefined;
    if (result.done) {
      this.#finished = true;
      await coder.end();
    } else {
      const bytes = toBytes(result.value);
      if (bytes.length > 0) this.#rest = bytes;
    }
  }

  #codeRest(coder: ContentCoder, rest: Uint8Array): Promise<void> {
    this.#rest = rest.length > pieceSize ? rest.subarray(pieceSize) : undefined;
    this.#unflushed = true;
    return coder.write(rest.subarray(0, pieceSize));
  }
}

/** Whether this is there before the event loop turns. */
async function isSoon(pending: unknown): Promise<boolean> {
  if (!(pending instanceof Promise)) return true;
  const settled = pending.then(
    () => true,
    () => true,
  );
  const turned = oneTurn().then(() => false);
  return Promise.race([settled, turned]);
}

/** `body`, coded: everything sent is flushed, several pieces sent at once together. */
export function compressedActor(body: ActorBody, coding: ContentCoding, level: number): ActorBody {
  return {
    kind: "actor",
    maxBufferedBytes: body.maxBufferedBytes,
    start(stream) {
      const coder = new ContentCoder(coding, level);
      const compressed = new CompressedStream(
        stream,
        coder,
        body.maxBufferedBytes ?? defaultMaxBufferedBytes,
      );
      const writer = startWriter(body, compressed);
      return {
        shutdown: (deadlineMs) => writer.shutdown(deadlineMs),
        deadline: () => writer.deadline?.(),
        closed: (error) => {
          compressed.close();
          writer.closed(error);
        },
      };
    },
  };
}

function startWriter(body: ActorBody, stream: CompressedStream): ActorBodyWriter {
  try {
    return body.start(stream);
  } catch (error) {
    stream.close(); // without a writer there is nobody else to tell
    throw error;
  }
}

// Above this the sender waits, as it does in front of the socket.
const highWater = 64 * 1024;

class CompressedStream implements ResponseStream {
  readonly #stream: ResponseStream;
  readonly #coder: ContentCoder;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  readonly #maxBufferedBytes: number;
  /** Blocked while much waits for the coder, or the client. */
  readonly #room = new Flow();
  #pumping = false;
  #ending = false;

  constructor(stream: ResponseStream, coder: ContentCoder, maxBufferedBytes: number) {
    this.#stream = stream;
    this.#coder = coder;
    this.#maxBufferedBytes = maxBufferedBytes;
  }

  get bufferedAmount(): number {
    return this.#queuedBytes + this.#stream.bufferedAmount;
  }

  get blocked(): boolean {
    return this.#room.blocked;
  }

  get open(): boolean {
    return !this.#ending && this.#stream.open;
  }

  setDeadline(ms: number): void {
    this.#stream.setDeadline(ms);
  }

  send(data: string | Uint8Array): Promise<void> {
    if (this.open && this.bufferedAmount > this.#maxBufferedBytes) this.abort();
    if (!this.open) return quietRejection(responseOver());
    const bytes = toBytes(data);
    if (bytes.length === 0) return this.#room.whenRoom();
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes >= highWater) this.#room.block();
    this.#pump();
    return this.#room.whenRoom();
  }

  end(): void {
    if (!this.open) return;
    this.#ending = true;
    this.#pump();
  }

  report(error: unknown): void {
    this.#stream.report(error);
  }

  abort(...failure: readonly [error?: unknown]): void {
    this.#coder.close();
    this.#stream.abort(...failure);
  }

  /** The response is over, whoever ended it. */
  close(): void {
    this.#coder.close();
    this.#queue = [];
    this.#room.abandon(responseOver);
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#run().catch((error) => {
      if (this.#stream.open) this.#stream.abort(error);
    });
  }

  async #run(): Promise<void> {
    // What is sent in the same turn is coded together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const queue = this.#queue;
      this.#queue = [];
      for (const bytes of queue) await this.#coder.write(bytes);
      await this.#coder.flush();
      await this.#sendCoded();
      for (const bytes of queue) this.#queuedBytes -= bytes.length;
      if (this.#queuedBytes < highWater) this.#room.open();
    }
    this.#pumping = false;
    if (!this.#ending) return;
    await this.#coder.end();
    await this.#sendCoded();
    this.#stream.end();
  }

  async #sendCoded(): Promise<void> {
    for (let coded = this.#coder.take(); coded !== undefined; coded = this.#coder.take()) {
      await this.#stream.send(coded);
    }
  }
}
