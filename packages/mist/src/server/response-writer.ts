// Writers of the bodies that are not all there: iterables, sources (files), actors.
//
// Each pulls its producer only while the peer keeps up, and lets go of it exactly once on every way out:
// at the end, when the producer fails, when the client leaves, when the server is killed.

import { TransportError } from "@x/glisten";
import type { Fields } from "../http/fields.ts";
import type { BodySource } from "./body-source.ts";
import type { Exchange } from "./exchange.ts";
import type {
  ActorBody,
  ActorBodyWriter,
  IterableBody,
  ResponseBody,
  ServerResponse,
  SourceBody,
} from "./response-body.ts";
import { type ResponseStream, SENT } from "./response-stream.ts";

/** A body being written. */
export interface BodyWriter {
  /** What was written has left. */
  drain(): void;
  /** The peer has half-closed. */
  peerEnded(): void;
  shutdown(deadlineMs: number): void;
  deadline(): void;
  /** The response is over: let go of the producer. Called once. */
  close(): void;
}

/** Starts writing `body` on `exchange`, whose head is written. */
export function startBodyWriter(exchange: Exchange, body: ResponseBody): BodyWriter {
  switch (body.kind) {
    case "iterable":
      return new IterableWriter(exchange, body);
    case "source":
      return new SourceWriter(exchange, body);
    case "actor":
      return new ActorWriter(exchange, body);
    default:
      throw new TypeError(`a ${body.kind} body is not streamed`);
  }
}

/** Lets go of a body that will not be sent. A source was never opened, an actor never started. */
export function discardBody(response: ServerResponse): void {
  if (response.body.kind === "source") response.body.discard?.();
  if (response.body.kind !== "iterable") return;
  const { chunks } = response.body;
  // A generator that was never started runs none of its code here; one that holds a resource can give it back.
  if ("return" in chunks && typeof chunks.return === "function") {
    Promise.resolve(chunks.return(undefined)).catch(() => {});
  }
}

// A producer that waits until the peer has taken what was written.
abstract class PullingWriter implements BodyWriter {
  protected readonly exchange: Exchange;
  #wake: (() => void) | undefined = undefined;

  constructor(exchange: Exchange) {
    this.exchange = exchange;
  }

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

class IterableWriter extends PullingWriter {
  readonly #body: IterableBody;
  readonly #iterator: Iterator<string | Uint8Array> | AsyncIterator<string | Uint8Array>;
  #finished = false;

  constructor(exchange: Exchange, body: IterableBody) {
    super(exchange);
    this.#body = body;
    const { chunks } = body;
    this.#iterator =
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
    this.#run().catch((error) => {
      this.#finished = true;
      exchange.fail(error);
    });
  }

  async #run(): Promise<void> {
    // The exchange learns of its writer when this constructor returns.
    await undefined;
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

class SourceWriter extends PullingWriter {
  readonly #body: SourceBody;
  #source: BodySource | undefined = undefined;
  #released = false;

  constructor(exchange: Exchange, body: SourceBody) {
    super(exchange);
    this.#body = body;
    this.#start();
  }

  #start(): void {
    let opened: BodySource | Promise<BodySource>;
    try {
      opened = this.#body.open();
    } catch (error) {
      queueMicrotask(() => this.exchange.fail(error));
      return;
    }
    this.#run(opened).catch((error) => this.exchange.fail(error));
  }

  async #run(opened: BodySource | Promise<BodySource>): Promise<void> {
    const source = await opened;
    if (this.#released) {
      source.close();
      return;
    }
    this.#source = source;
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

  protected release(): void {
    this.#released = true;
    const source = this.#source;
    this.#source = undefined;
    source?.close();
  }
}

class ActorWriter implements BodyWriter, ResponseStream {
  readonly #exchange: Exchange;
  readonly #body: ActorBody;
  #actor: ActorBodyWriter | undefined = undefined;
  #room: { promise: Promise<void>; resolve: () => void; reject: (error: unknown) => void } | undefined =
    undefined;
  #closed = false;

  constructor(exchange: Exchange, body: ActorBody) {
    this.#exchange = exchange;
    this.#body = body;
    exchange.host.flushSoon(); // the head must not wait for the actor's first word
    // Not yet the exchange's writer: what the actor does at once must find it in place.
    queueMicrotask(() => this.#start());
  }

  get bufferedAmount(): number {
    return this.#exchange.host.bufferedAmount;
  }

  get open(): boolean {
    return !this.#exchange.over;
  }

  send(data: string | Uint8Array): Promise<void> {
    if (this.#exchange.over) return Promise.reject(new TransportError("closed", "the response is over"));
    let room: boolean;
    try {
      room = this.#exchange.writeBody(data);
    } catch (error) {
      return Promise.reject(error);
    }
    if (room) return SENT;
    this.#room ??= withResolvers();
    return this.#room.promise;
  }

  setDeadline(ms: number): void {
    if (!this.#exchange.over) this.#exchange.host.setActorDeadline(ms);
  }

  end(trailers?: Fields): void {
    this.#exchange.endBody(trailers);
  }

  abort(error?: unknown): void {
    if (error === undefined) this.#exchange.breakOff();
    else this.#exchange.fail(error);
  }

  report(error: unknown): void {
    this.#exchange.report(error, "body");
  }

  drain(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }

  peerEnded(): void {
    if (this.#body.endsWithPeer) this.end();
  }

  shutdown(deadlineMs: number): void {
    this.#actor?.shutdown(deadlineMs);
  }

  deadline(): void {
    this.#actor?.deadline?.();
  }

  close(): void {
    this.#closed = true;
    this.#exchange.host.setActorDeadline(0);
    const room = this.#room;
    this.#room = undefined;
    room?.reject(new TransportError("closed", "the response is over"));
    this.#actor?.closed();
  }

  #start(): void {
    if (this.#closed) return;
    let actor: ActorBodyWriter;
    try {
      actor = this.#body.start(this);
    } catch (error) {
      this.#exchange.fail(error);
      return;
    }
    this.#actor = actor;
    if (this.#closed) actor.closed();
    else if (this.#exchange.host.stopping) actor.shutdown(0);
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: unknown) => void } {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  promise.catch(() => {}); // whoever sent without awaiting does not want to hear of it
  return { promise, resolve, reject };
}
