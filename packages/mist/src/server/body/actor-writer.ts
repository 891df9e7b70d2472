// The writer that is pushed: event streams and chunked loops send when they have something to say.

import { TransportError } from "@x/glisten";
import { quietRejection } from "@x/glisten/kit";
import type { BodySink } from "./body-sink.ts";
import type { BodyWriter } from "./body-writer.ts";
import type { ActorBody, ActorBodyWriter } from "./response-body.ts";
import type { ResponseStream } from "./response-stream.ts";

/** Bytes that may wait for a client before the next send breaks the response off, unless the body says otherwise. */
export const defaultMaxBufferedBytes: number = 16 * 1024 * 1024;

/** The writing end that a streaming actor is given. */
export class ActorWriter implements BodyWriter, ResponseStream {
  readonly endsWithPeer = true;
  readonly #sink: BodySink;
  readonly #body: ActorBody;
  readonly #maxBufferedBytes: number;
  #actor: ActorBodyWriter | undefined = undefined;
  #ended = false;
  #closed = false;

  constructor(sink: BodySink, body: ActorBody) {
    this.#sink = sink;
    this.#body = body;
    this.#maxBufferedBytes = body.maxBufferedBytes ?? defaultMaxBufferedBytes;
  }

  start(): void {
    this.#sink.flush(); // the head does not wait for the actor's first word
    let actor: ActorBodyWriter;
    try {
      actor = this.#body.start(this);
    } catch (error) {
      this.#sink.fail(error);
      return;
    }
    this.#actor = actor;
    if (this.#closed) actor.closed(this.#sink.gone);
    else if (this.#sink.shuttingDown) actor.shutdown(0);
  }

  get bufferedAmount(): number {
    return this.#sink.bufferedAmount;
  }

  get blocked(): boolean {
    return this.#sink.room.blocked;
  }

  get open(): boolean {
    return !this.#ended && !this.#sink.over;
  }

  send(data: string | Uint8Array): Promise<void> {
    if (!this.open) return quietRejection(responseOver());
    // A client that takes nothing costs this much and no more, however often the actor sends.
    if (this.#sink.bufferedAmount > this.#maxBufferedBytes) {
      this.#sink.breakOff("reset");
      return quietRejection(responseOver());
    }
    try {
      this.#sink.write(data);
    } catch (error) {
      this.#sink.fail(error); // reported here too: a loop need not look at its promises
      return quietRejection(error);
    }
    return this.#sink.room.whenRoom();
  }

  setDeadline(ms: number): void {
    if (!this.#sink.over) this.#sink.setDeadline(ms);
  }

  end(): void {
    if (!this.open) return;
    this.#ended = true;
    this.#sink.end();
  }

  abort(...failure: readonly [error?: unknown]): void {
    if (failure.length === 0) this.#sink.breakOff();
    else this.#sink.fail(failure[0]);
  }

  report(error: unknown): void {
    this.#sink.report(error);
  }

  shutdown(deadlineMs: number): void {
    this.#actor?.shutdown(deadlineMs);
  }

  deadline(): void {
    this.#actor?.deadline?.();
  }

  close(): void {
    this.#closed = true;
    this.#sink.setDeadline(0);
    this.#actor?.closed(this.#sink.gone);
  }
}

/** What a send to an ended response is told. */
export function responseOver(): TransportError {
  return new TransportError("closed", "the response is over");
}
