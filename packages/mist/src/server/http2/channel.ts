// One HTTP/2 stream as the channel of an exchange.

import { Buffer } from "node:buffer";
import type { Connection } from "@x/glisten";
import { clock, Flow } from "@x/glisten/kit";
import { BodyError, RequestTimeoutError, UsageError } from "../../errors.ts";
import { type Fields, NO_FIELDS } from "../../http/fields.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import { CANCEL, INTERNAL_ERROR } from "../../http2/errors.ts";
import type { RequestHead } from "../../http2/request-head.ts";
import type { Stream } from "../../http2/stream.ts";
import type { Channel, ResponseParts } from "../exchange/channel.ts";
import { ContentWait } from "../exchange/content-wait.ts";
import { currentDate } from "../exchange/current-date.ts";
import { Exchange } from "../exchange/exchange.ts";
import type { IncomingBody } from "../exchange/request-body.ts";
import type { Service } from "../exchange/service.ts";

const never = Number.POSITIVE_INFINITY;

/** The core of one connection; a stream is owned by its channel. */
export type Core = Http2Connection<Http2Channel>;

/** What a channel needs of the connection it is a part of. */
export interface StreamHost {
  readonly service: Service;
  readonly scheme: "http" | "https";
  readonly connection: Connection;
  readonly core: Core;
  /** The connection has been told to shut down. */
  readonly shuttingDown: boolean;
  /** The client has half-closed the connection: it will send no more, windows included. */
  readonly peerEnded: boolean;
  /** The exchange of `channel` is over. */
  done(channel: Http2Channel): void;
  /** Has `late` called by that instant. */
  arm(instant: number, now: number): void;
  /** Has what was sent leave before the event loop goes on, together with what else is sent in this turn. */
  flushSoon(): void;
}

/** A request and its response on one stream of an HTTP/2 connection. */
export class Http2Channel implements Channel {
  readonly exchange: Exchange;
  readonly #host: StreamHost;
  readonly #stream: Stream<Http2Channel>;
  /** Made for responses that are streamed. */
  #room: Flow | undefined = undefined;
  /** Once the request's content had to be waited for. */
  #wait: ContentWait | undefined = undefined;
  #continued = false;
  // Instants; `never` for none.
  #contentUntil = never;
  #actorAt = never;

  constructor(host: StreamHost, stream: Stream<Http2Channel>, head: RequestHead) {
    this.#host = host;
    this.#stream = stream;
    const { framing } = head;
    const length = framing === "none" ? 0 : framing === "until-end" ? undefined : framing.length;
    this.exchange = new Exchange(this, head, length);
  }

  get service(): Service {
    return this.#host.service;
  }

  get scheme(): "http" | "https" {
    return this.#host.scheme;
  }

  get connection(): Connection {
    return this.#host.connection;
  }

  get shuttingDown(): boolean {
    return this.#host.shuttingDown;
  }

  get peerEnded(): boolean {
    return this.#host.peerEnded;
  }

  // ── content ─────────────────────────────────────────────────────────────────────────────────────────────

  pull(body: IncomingBody): Buffer | null | undefined {
    const { core } = this.#host;
    const piece = core.read(this.#stream);
    if (piece === undefined) {
      this.#await();
      return undefined;
    }
    if (this.#wait?.end() === true) this.#contentUntil = never;
    if (piece === null) body.trailers = this.#stream.trailers ?? NO_FIELDS;
    else if (core.queuedBytes > 0) this.#host.flushSoon(); // the window it gives back
    return piece;
  }

  #await(): void {
    if (this.peerEnded) throw cutOff();
    this.#continue();
    this.#wait ??= new ContentWait();
    this.#wait.begin();
    const { bodyIdleMs } = this.service.deadlines;
    if (bodyIdleMs === 0) return;
    const now = clock.now();
    this.#contentUntil = now + bodyIdleMs;
    this.#host.arm(this.#contentUntil, now);
  }

  // The client waits for this before it sends its content (RFC 9110 §10.1.1).
  #continue(): void {
    const stream = this.#stream;
    if (this.#continued || stream.received > 0 || stream.responseStarted) return;
    this.#continued = true;
    if (stream.head?.expectContinue === true) this.inform(100, NO_FIELDS);
  }

  /** Content came, or its end, while a reader may wait for it: enough, or too little for the time it took. */
  feed(): void {
    const { body } = this.exchange;
    const wait = this.#wait;
    if (!body.waiting || wait === undefined) return;
    const { minBodyRate } = this.service.deadlines;
    const due = wait.bytesDue(minBodyRate);
    if (due > 0 && this.#stream.received < due) body.fail(wait.tooSlow(minBodyRate));
    else body.resume();
  }

  // ── what the connection tells ───────────────────────────────────────────────────────────────────────────

  /** The first instant at which `late` has something to do. */
  get due(): number {
    return Math.min(this.#contentUntil, this.#actorAt);
  }

  late(now: number): void {
    if (now >= this.#contentUntil) {
      this.#contentUntil = never;
      this.exchange.body.fail(new RequestTimeoutError("bodyIdleMs", this.service.deadlines.bodyIdleMs));
    }
    if (now >= this.#actorAt) {
      this.#actorAt = never;
      this.exchange.deadline();
    }
  }

  shutdown(deadlineMs: number): void {
    this.exchange.shutdown(deadlineMs);
  }

  /** The client has half-closed the connection. */
  leftByPeer(): void {
    const { body } = this.exchange;
    if (!this.#stream.requestComplete) body.fail(cutOff());
    this.exchange.peerEnded();
  }

  abandon(error: unknown): void {
    this.exchange.abandon(error);
    this.#room?.abandon(() => error);
  }

  // ── responses ───────────────────────────────────────────────────────────────────────────────────────────

  get room(): Flow {
    this.#room ??= new Flow();
    return this.#room;
  }

  get bufferedAmount(): number {
    return this.#stream.queuedBytes;
  }

  inform(status: number, fields: Fields): void {
    this.#host.core.sendInformational(this.#stream, status, fields);
    this.flush();
  }

  respond(response: ResponseParts, body: string | Uint8Array): void {
    sendWhole(this.#host.core, this.#stream, response, body);
  }

  sendHead(response: ResponseParts, length: number | undefined): void {
    // An echo reads on behind the head, and a 100 cannot follow it.
    if (this.exchange.body.taken) this.#continue();
    const { status, headers: fields } = response;
    this.#host.core.sendHead(this.#stream, { status, fields, length }, currentDate());
  }

  sendData(data: Uint8Array, onSent?: () => void): void {
    if (!this.#host.core.sendData(this.#stream, data, onSent)) this.room.block();
  }

  sendEnd(trailers: Fields): void {
    this.#host.core.sendEnd(this.#stream, trailers);
  }

  flush(): void {
    this.#host.flushSoon();
  }

  finished(): void {
    const { body } = this.exchange;
    if (!body.ended) body.leaveUnread();
    if (!body.ended || !this.#stream.requestComplete) this.#host.core.stopReading(this.#stream);
    this.#host.done(this);
  }

  abort(how: "close" | "reset"): void {
    this.#host.core.reset(this.#stream, how === "reset" ? CANCEL : INTERNAL_ERROR);
    this.#host.done(this);
  }

  upgrade(): void {
    throw new UsageError("HTTP/2 has no upgrade (RFC 9113 §8.6)");
  }

  handOver(): void {
    this.upgrade();
  }

  setDeadline(ms: number): void {
    if (ms === 0) {
      this.#actorAt = never;
      return;
    }
    const now = clock.now();
    this.#actorAt = now + ms;
    this.#host.arm(this.#actorAt, now);
  }
}

/** Sends a response that is all there. */
export function sendWhole(
  core: Core,
  stream: Stream<Http2Channel>,
  response: ResponseParts,
  body: string | Uint8Array,
): void {
  const { status, headers: fields } = response;
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  core.sendHead(stream, { status, fields, length }, currentDate());
  if (length > 0) core.sendData(stream, body);
  core.sendEnd(stream);
}

function cutOff(): BodyError {
  return new BodyError("malformed-body", "the connection ended before the request body was complete");
}
