// The writer that is pushed: event streams and chunked loops send when they have something to say.

import { TransportError } from "@x/glisten";
import type { Fields } from "../../http/fields.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { ActorBody, ActorBodyWriter } from "./response-body.ts";
import type { ResponseStream } from "./response-stream.ts";
import type { BodyWriter } from "./response-writer.ts";
import { newWaiter, refused, SENT, type Waiter } from "./sent.ts";

/** The writing end that a streaming actor is given. */
export class ActorWriter implements BodyWriter, ResponseStream {
  readonly #exchange: Exchange;
  readonly #body: ActorBody;
  #actor: ActorBodyWriter | undefined = undefined;
  #room: Waiter | undefined = undefined;
  #closed = false;

  constructor(exchange: Exchange, body: ActorBody) {
    this.#exchange = exchange;
    this.#body = body;
  }

  start(): void {
    this.#exchange.host.flushSoon(); // the head must not wait for the actor's first word
    let actor: ActorBodyWriter;
    try {
      actor = this.#body.start(this);
    } catch (error) {
      this.#exchange.fail(error);
      return;
    }
    this.#actor = actor;
    if (this.#closed) actor.closed(this.#exchange.gone);
    else if (this.#exchange.host.stopping) actor.shutdown(0);
  }

  get bufferedAmount(): number {
    return this.#exchange.host.bufferedAmount;
  }

  get open(): boolean {
    return !this.#exchange.over;
  }

  send(data: string | Uint8Array): Promise<void> {
    if (this.#exchange.over) return refused(new TransportError("closed", "the response is over"));
    let room: boolean;
    try {
      room = this.#exchange.writeBody(data);
    } catch (error) {
      this.#exchange.fail(error); // told here too: a loop need not look at its promises
      return refused(error);
    }
    if (room) return SENT;
    this.#room ??= newWaiter();
    return this.#room.promise;
  }

  setDeadline(ms: number): void {
    if (!this.#exchange.over) this.#exchange.host.setActorDeadline(ms);
  }

  end(trailers?: Fields): void {
    try {
      this.#exchange.endBody(trailers);
    } catch (error) {
      this.#exchange.fail(error);
    }
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
    this.#actor?.closed(this.#exchange.gone);
  }
}
