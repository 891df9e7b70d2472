// The incoming body of one request, pulled piece by piece from the channel that carries it.
//
// Nothing is read ahead of the handler but what the socket had already delivered, and that is bounded
// (`maxBuffered`). A pull that finds bytes at hand answers without a promise.

import { Buffer } from "node:buffer";
import { checkNames, harmless, shown } from "@x/glisten/kit";
import { BodyError, UsageError } from "../../errors.ts";
import type { Fields } from "../../http/fields.ts";
import type { Request, RequestBody } from "../../http/request.ts";

const noFields: Fields = Object.freeze([]);

/** What an incoming body needs of the connection it comes from. */
export interface BodyProvider {
  /** The next piece, null at the end, undefined if it has yet to come: then `resume` or `fail` will be called. */
  pull(body: IncomingBody): Buffer | null | undefined;
}

interface Waiter {
  resolve(piece: Buffer | null): void;
  reject(error: unknown): void;
}

/** The body of an incoming request, unread until `readBody` or `stream` asks for it. */
export class IncomingBody implements RequestBody {
  readonly #provider: BodyProvider;
  /** Bytes announced by `content-length`; undefined if chunked. */
  readonly length: number | undefined;
  #waiter: Waiter | undefined;
  #ended: boolean;
  #error: unknown;
  #taken = false;
  /** The trailer section, empty before the end. Fields that RFC 9110 §6.5.1 forbids there are dropped. */
  trailers: Fields = noFields;
  /** Bytes handed out so far. */
  received = 0;

  /** @internal */
  constructor(provider: BodyProvider, length: number | undefined) {
    this.#provider = provider;
    this.length = length;
    this.#ended = length === 0;
  }

  /** True once the last piece has been handed out. */
  get ended(): boolean {
    return this.#ended;
  }

  /** True while a reader waits for the peer. @internal */
  get waiting(): boolean {
    return this.#waiter !== undefined;
  }

  /** True once somebody has begun to read. @internal */
  get taken(): boolean {
    return this.#taken;
  }

  /** True if the rest will not come. @internal */
  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Somebody is about to read: the answer's head may go out first. @internal */
  claim(): void {
    this.#taken = true;
  }

  /** The next piece or null at the end, at once if it is there. One pull at a time. @internal */
  pull(): Buffer | null | Promise<Buffer | null> {
    this.#taken = true;
    if (this.#error !== undefined) throw this.#error;
    if (this.#ended) return null;
    if (this.#waiter !== undefined) throw new UsageError("the request body is already being read");
    const piece = this.#pullProvider();
    if (piece !== undefined) return piece;
    return harmless(
      new Promise((resolve, reject) => {
        this.#waiter = { resolve, reject };
      }),
    );
  }

  /** The connection has more bytes: serves the waiting reader, if there is one and there is enough. @internal */
  resume(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    let piece: Buffer | null | undefined;
    try {
      piece = this.#pullProvider();
    } catch (error) {
      this.#waiter = undefined;
      waiter.reject(error);
      return;
    }
    if (piece === undefined) return;
    this.#waiter = undefined;
    waiter.resolve(piece);
  }

  /** No more will come: the waiting reader and every later one gets `error`. @internal */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#error ??= error;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(this.#error);
  }

  /** The response is complete: nobody gets the rest. @internal */
  leaveUnread(): void {
    this.fail(new UsageError("the response was complete before the request body was read"));
  }

  #pullProvider(): Buffer | null | undefined {
    let piece: Buffer | null | undefined;
    try {
      piece = this.#provider.pull(this);
    } catch (error) {
      this.#error ??= error;
      throw this.#error;
    }
    if (piece === null) this.#ended = true;
    else if (piece !== undefined) this.received += piece.length;
    return piece;
  }
}

/** Options of {@link readBody}. */
export interface ReadBodyOptions {
  /** Most bytes to accept. */
  readonly maxBodyLimit: number;
}

/**
 * The whole body of a request.
 *
 * @throws BodyError (rejects) `excess-body` if it is longer than `maxBodyLimit` (413 if the handler lets it pass),
 * `malformed-body` if its coding is broken or it was cut off (400), RequestTimeoutError if it stalls (408). The promise
 * may be awaited late: a rejection that nobody looks at does no harm.
 */
export function readBody(request: Request, options: ReadBodyOptions): Promise<Buffer> {
  return harmless(collect(request, options));
}

async function collect(request: Request, options: ReadBodyOptions): Promise<Buffer> {
  checkNames("readBody", options, ["maxBodyLimit"]);
  const limit = checkedLimit(options.maxBodyLimit, "maxBodyLimit");
  const body = incoming(request);
  if (body.ended && body.received > 0) throw new UsageError("the request body has already been read");
  if (body.length !== undefined && body.length > limit) throw excessBody(limit);
  const content = new PieceCollector();
  for (;;) {
    const pulled = body.pull();
    const piece = pulled instanceof Promise ? await pulled : pulled;
    if (piece === null) return content.join();
    if (content.length + piece.length > limit) throw excessBody(limit);
    content.push(piece);
  }
}

// A body of one-byte chunks must cost its bytes, not a view of a packet for each: small pieces are copied together.
class PieceCollector {
  static readonly #small = 1024;
  static readonly #block = 16 * 1024;
  readonly #pieces: Buffer[] = [];
  #tail: Buffer | undefined = undefined;
  #tailLength = 0;
  length = 0;

  push(piece: Buffer): void {
    this.length += piece.length;
    if (piece.length >= PieceCollector.#small || this.#pieces.length === 0) {
      this.#endTail();
      this.#pieces.push(piece);
      return;
    }
    if (this.#tail === undefined || this.#tail.length - this.#tailLength < piece.length) {
      this.#endTail();
      this.#tail = Buffer.allocUnsafeSlow(PieceCollector.#block);
    }
    this.#tail.set(piece, this.#tailLength);
    this.#tailLength += piece.length;
  }

  join(): Buffer {
    this.#endTail();
    return this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.length);
  }

  #endTail(): void {
    if (this.#tail !== undefined) this.#pieces.push(this.#tail.subarray(0, this.#tailLength));
    this.#tail = undefined;
    this.#tailLength = 0;
  }
}

/** What {@link BodyReader.consume} gives. */
export type BodyPart =
  | { readonly type: "chunk"; readonly data: Buffer }
  | { readonly type: "done"; readonly trailers: Fields };

/** Reads a request body at the handler's pace. */
export interface BodyReader extends AsyncIterable<Buffer> {
  /**
   * The next `size` bytes: fewer only in the last chunk, then `done`.
   *
   * @throws UsageError unless `size` is a positive integer; BodyError, RequestTimeoutError as {@link readBody}.
   */
  consume(size: number): Promise<BodyPart>;
  /** The rest of the body as a web stream, pulled as it is read. */
  toReadableStream(): ReadableStream<Uint8Array>;
  /**
   * The trailer section, empty before the end (RFC 9110 §6.5). Without fields that must not come behind the content:
   * those of framing, routing, authentication, request modifiers and content format are dropped (§6.5.1).
   */
  readonly trailers: Fields;
}

/** A reader of the request's body; the socket is read no faster than the reader reads. */
export function stream(request: Request): BodyReader {
  const body = incoming(request);
  body.claim();
  return new PullReader(body);
}

class PullReader implements BodyReader {
  readonly #body: IncomingBody;
  #held: Buffer[] = [];
  #heldBytes = 0;
  readonly consume: BodyReader["consume"];
  readonly toReadableStream: BodyReader["toReadableStream"];

  constructor(body: IncomingBody) {
    this.#body = body;
    // Bound, so that `const { consume } = stream(request)` works.
    this.consume = (size) => harmless(this.#consume(size));
    this.toReadableStream = () => this.#toReadableStream();
  }

  get trailers(): Fields {
    return this.#body.trailers;
  }

  async #consume(size: number): Promise<BodyPart> {
    if (!Number.isInteger(size) || size < 1)
      throw new UsageError(`consume takes an integer of at least 1, got ${shown(size)}`);
    while (this.#heldBytes < size) {
      const piece = await this.#body.pull();
      if (piece === null) break;
      this.#held.push(piece);
      this.#heldBytes += piece.length;
    }
    if (this.#heldBytes === 0) return { type: "done", trailers: this.#body.trailers };
    return { type: "chunk", data: this.#take(size) };
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    const pieces = this.#pieces();
    const next = pieces.next.bind(pieces);
    pieces.next = () => harmless(next());
    return pieces;
  }

  async *#pieces(): AsyncGenerator<Buffer, void, undefined> {
    for (const piece of this.#takeAll()) yield piece;
    for (;;) {
      const pulled = this.#body.pull();
      const piece = pulled instanceof Promise ? await pulled : pulled;
      if (piece === null) return;
      yield piece;
    }
  }

  #toReadableStream(): ReadableStream<Uint8Array> {
    const pieces = this[Symbol.asyncIterator]();
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const { done, value } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await pieces.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  #takeAll(): Buffer[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  #take(size: number): Buffer {
    const all = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
    const rest = all.subarray(size);
    this.#held = rest.length === 0 ? [] : [rest];
    this.#heldBytes = rest.length;
    return all.subarray(0, size);
  }
}

function incoming(request: Request<unknown>): IncomingBody {
  if (request.body instanceof IncomingBody) return request.body;
  throw new UsageError(
    "the request's body has been replaced: only the body of an incoming request can be read",
  );
}

/** A limit in bytes; Infinity is one. @throws UsageError */
export function checkedLimit(limit: number | undefined, name: string): number {
  if (typeof limit === "number" && limit >= 0) return limit;
  throw new UsageError(`${name} must be a number of bytes, at least 0, got ${shown(limit)}`);
}

function excessBody(limit: number): BodyError {
  return new BodyError("excess-body", `the request body is longer than ${limit} bytes`);
}
