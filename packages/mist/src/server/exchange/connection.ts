// The pump: moves bytes between one glisten connection and the HTTP/1 core, one exchange at a time.
//
// Bytes that arrive go into the core; `core.next()` is asked in two places only: `#advance`, between exchanges,
// for the next request head, and in content-feed.ts, during one, for its content. What is written is queued in the
// outbox and leaves in one write per turn, so that pipelined answers share it.
//
//   phase       waits for                       when late
//   fresh       the first byte                  close without a word
//   head        the rest of a request head      408
//   exchange    the handler, or content         408 for content; the handler may take its time
//   idle        the next request                close without a word
//   closing     nothing: glisten flushes, half-closes, and reads on for a moment (RFC 9112 §9.6)
//   upgraded    nothing here: another protocol has the connection

import type { Buffer } from "node:buffer";
import { type CloseReason, type Connection, type Protocol, TransportError } from "@x/glisten";
import { ProtocolError, RequestTimeoutError, UsageError } from "../../errors.ts";
import { Http1Connection } from "../../http1/connection.ts";
import type { Http1Event } from "../../http1/events.ts";
import type { RequestHead } from "../../http1/request-head.ts";
import type { BytesBody, UpgradeBody } from "../body/response-body.ts";
import { ContentFeed, type ContentFeedHost } from "./content-feed.ts";
import { currentDate } from "./current-date.ts";
import { ConnectionDeadlines, type DeadlineKind } from "./deadlines.ts";
import { errorResponse } from "./error-response.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { Outbox, type OutboxOwner } from "./outbox.ts";
import type { IncomingBody } from "./request-body.ts";
import type { Service } from "./service.ts";
import { switchProtocol } from "./switch-protocol.ts";

type Phase = "fresh" | "head" | "exchange" | "idle" | "closing" | "upgraded" | "closed";

/** One HTTP/1 connection, as glisten's protocol. */
export class HttpConnection implements Protocol, ExchangeHost, ContentFeedHost, OutboxOwner {
  readonly service: Service;
  readonly kind = "http";
  readonly connection: Connection;
  readonly core: Http1Connection;
  readonly scheme: "http" | "https";
  readonly #deadlines: ConnectionDeadlines;
  #phase: Phase = "fresh";
  #exchange: Exchange | undefined = undefined;
  readonly #out: Outbox;
  /** Of the request in work, if it has content. */
  #content: ContentFeed | undefined = undefined;
  #advancing = false;
  #paused = false;
  #draining = false;
  #shutdownDeadlineMs = -1;
  #receivedStopping = 0;

  constructor(service: Service, connection: Connection) {
    this.service = service;
    this.connection = connection;
    this.core = new Http1Connection(service.limits);
    this.scheme = connection.transport === "tls" ? "https" : "http";
    this.#out = new Outbox(connection, this);
    this.#deadlines = new ConnectionDeadlines(connection);
    this.#deadlines.set("read", service.deadlines.headMs);
  }

  get stopping(): boolean {
    return this.#shutdownDeadlineMs >= 0;
  }

  // Requests that came before the stop are still answered, within a limit: a client may never cease to ask. Content that
  // the handler has left unread is no request.
  get closing(): boolean {
    if (!this.stopping) return false;
    const late = this.#receivedStopping > this.service.limits.maxBuffered;
    return late || this.core.retainedBytes <= unreadContent(this.#exchange?.body);
  }

  get bufferedAmount(): number {
    return this.connection.bufferedAmount + this.#out.length;
  }

  // ── what glisten tells ──────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void | Promise<void> {
    if (this.#phase === "closing") return;
    if (this.stopping) this.#receivedStopping += chunk.length;
    this.core.receive(chunk);
    if (this.#exchange === undefined) this.#advance();
    else this.#feedExchange();
    this.#boundBuffer();
  }

  end(): void {
    if (this.#phase === "closing") return;
    this.core.receiveEnd();
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#advance();
      return;
    }
    this.#feedExchange();
    exchange.peerEnded();
  }

  drain(): void {
    this.#deadlines.set("write", 0);
    if (!this.#out.drained()) return;
    if (this.#exchange === undefined) this.#advance();
    else this.#exchange.drain();
  }

  shutdown(deadlineMs: number): void {
    this.#shutdownDeadlineMs = deadlineMs;
    if (this.#exchange !== undefined) this.#exchange.shutdown(deadlineMs);
    else if (this.#phase === "idle" || this.#phase === "fresh") this.#awaitRequest(this.#phase);
    else if (this.#phase === "head") this.#deadlines.set("read", this.#headMs);
  }

  deadline(): void {
    this.#deadlines.dispatch((kind) => this.#late(kind));
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.#phase = "closed";
    this.#exchange?.abandon(clientGone(reason));
    this.#exchange = undefined;
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────────────

  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    // Nothing new is begun for a peer that does not take what it has asked for.
    while (this.#exchange === undefined && !this.#out.blocked && this.#takesRequests()) {
      if (!this.#takeRequest()) break;
    }
    this.#advancing = false;
    // An exchange under way may answer within this very tick; then its answer shares the write.
    if (this.#exchange === undefined) this.#out.flush();
    else if (this.#out.length > 0) this.flushSoon();
  }

  #takesRequests(): boolean {
    return this.#phase !== "closing" && this.#phase !== "upgraded" && this.#phase !== "closed";
  }

  // False: no request to take now.
  #takeRequest(): boolean {
    let event: Http1Event;
    try {
      event = this.core.next();
    } catch (error) {
      this.#refuse(error);
      return false;
    }
    switch (event.type) {
      case "request":
        this.#begin(event);
        return true;
      case "need-data":
        this.#awaitMore();
        return false;
      default:
        this.#close(); // the peer has sent its last
        return false;
    }
  }

  #begin(head: RequestHead): void {
    const exchange = new Exchange(this, head);
    this.#exchange = exchange;
    this.#phase = "exchange";
    exchange.run();
    if (this.#exchange === exchange && !exchange.body.waiting && !this.#draining)
      this.#deadlines.set("read", 0);
  }

  #awaitMore(): void {
    this.#resume();
    if (this.core.retainedBytes === 0) {
      this.#awaitRequest(this.#phase === "fresh" ? "fresh" : "idle");
    } else if (this.#phase !== "head") {
      this.#phase = "head";
      this.#deadlines.set("read", this.#headMs);
    }
  }

  /** How long the rest of a head may take. */
  get #headMs(): number {
    return this.stopping ? this.#graceMs : this.service.deadlines.headMs;
  }

  get #graceMs(): number {
    return Math.max(1, this.service.deadlines.stopGraceMs);
  }

  #awaitRequest(phase: "fresh" | "idle"): void {
    const { deadlines } = this.service;
    const wasFresh = this.#phase === "fresh";
    this.#phase = phase;
    // While stopping, a request already under way is still answered; who says nothing is let go.
    if (this.stopping) this.#deadlines.set("read", this.#graceMs);
    else if (!(phase === "fresh" && wasFresh)) this.#deadlines.set("read", deadlines.keepAliveMs);
  }

  // What came is no request: say so once and hang up. Nothing behind it is looked at.
  #refuse(error: unknown): void {
    if (!(error instanceof ProtocolError || error instanceof RequestTimeoutError)) {
      this.connection.destroy(error); // ours, then; thrown from here it might find nobody to catch it
      return;
    }
    const refusal = errorResponse(error);
    const { data } = refusal.body as BytesBody;
    const head = { status: refusal.status, fields: refusal.headers, length: data.length };
    this.write(this.core.sendHead(head, currentDate()));
    if (this.core.bodyMode !== "none") this.write(data);
    this.#close();
  }

  // ── content ─────────────────────────────────────────────────────────────────────────────────────────────

  pullBody(body: IncomingBody): Buffer | null | undefined {
    this.#exchange?.beforeBody();
    this.#content ??= new ContentFeed(this);
    return this.#content.pull(body);
  }

  awaitContent(ms: number): void {
    if (ms > 0) this.#resume();
    this.#deadlines.set("read", ms);
  }

  #feedExchange(): void {
    const body = this.#exchange?.body;
    if (this.#draining) this.#dropContent();
    else if (body?.waiting) this.#content?.feed(body);
  }

  // What nobody waits for is not collected: requests behind one in work, or behind answers the peer does not take.
  #boundBuffer(): void {
    if (this.core.retainedBytes <= this.service.limits.maxBuffered || this.#draining) return;
    if (this.#exchange === undefined ? this.#out.blocked : !this.#exchange.body.waiting) this.#pause();
  }

  // Content the handler did not want stands before the next request. One deadline for all of it: nobody reads it.
  #startDraining(): void {
    this.#draining = true;
    this.#content ??= new ContentFeed(this);
    this.flushSoon(); // the client need not send all of it to get its answer
    this.#deadlines.set("read", this.service.deadlines.bodyIdleMs);
    this.#dropContent();
  }

  #dropContent(): void {
    const dropped = this.#content?.drop();
    if (dropped === "all") this.#recycle();
    else if (dropped === "more-to-come") this.#resume();
    else this.#close();
  }

  // ── answers ─────────────────────────────────────────────────────────────────────────────────────────────

  write(data: string | Uint8Array, suffix?: string, onSent?: () => void): boolean {
    return this.#out.write(data, suffix, onSent);
  }

  flushSoon(): void {
    this.#out.flushSoon();
  }

  outboxBlocked(): void {
    this.#deadlines.set("write", this.service.deadlines.sendMs);
  }

  answered(exchange: Exchange): void {
    if (exchange !== this.#exchange) return;
    const { body } = exchange;
    const drainable = !body.waiting && !body.failed;
    // From here on the bytes are the connection's: a reader left behind must not take the next request's.
    if (!body.ended) body.fail(new UsageError("the response was complete before the request body was read"));
    if (!this.core.persistent) this.#closeAfter(exchange);
    else if (body.ended) this.#recycle();
    else if (drainable) this.#startDraining();
    else this.#close();
  }

  breakOff(): void {
    this.#exchange = undefined;
    this.#out.flush();
    // Without a length or a coding, a FIN would look like the end of the message (RFC 9112 §8): only a reset tells.
    if (this.core.bodyMode === "until-close") this.connection.reset();
    else this.connection.destroy();
  }

  upgrade(body: UpgradeBody, onError: (error: unknown) => void): void {
    this.#exchange = undefined;
    this.#phase = "upgraded";
    this.#deadlines.clear(); // the slot is the new protocol's
    const leftover = this.core.takeRemaining();
    const { ended } = this.core;
    this.connection.cork();
    // The 101 goes first: the new protocol may speak as soon as it starts.
    this.#out.flushAll();
    try {
      const next = body.start(this.connection, onError);
      this.#resume();
      switchProtocol(this.connection, next, {
        leftover,
        ended,
        shutdownDeadlineMs: this.#shutdownDeadlineMs,
      });
    } catch (error) {
      this.connection.destroy(error);
    }
    this.connection.uncork();
  }

  setActorDeadline(ms: number): void {
    this.#deadlines.set("actor", ms);
  }

  #recycle(): void {
    this.#exchange = undefined;
    this.#draining = false;
    this.#content = undefined;
    if (this.core.startNextCycle()) this.#advance();
    else this.#close();
  }

  #close(): void {
    this.#finish();
    this.connection.close();
  }

  #finish(): void {
    this.#exchange = undefined;
    this.#draining = false;
    this.#phase = "closing";
    this.#deadlines.set("read", 0);
    this.#out.flushAll();
    this.#resume();
  }

  /**
   * A client that closes behind this very request has said all it will say, and it has been read. If the kernel has all
   * of ours as well, nobody needs to wait for the other; lingering is for those who might still be sending.
   */
  #closeAfter({ head, body }: Exchange): void {
    const heard = !head.keepAlive && body.ended && this.core.retainedBytes === 0;
    this.#finish();
    // A close of TLS wants to be said, and answered.
    if (heard && this.scheme === "http" && this.connection.bufferedAmount === 0) this.connection.destroy();
    else this.connection.close();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.connection.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.connection.resume();
  }

  // ── deadlines ───────────────────────────────────────────────────────────────────────────────────────────

  #late(kind: DeadlineKind): void {
    if (this.#phase === "closed") return;
    if (kind === "write") this.#writeLate();
    else if (kind === "actor") this.#exchange?.actorDeadline();
    else this.#readLate();
  }

  // Slow, but taking bytes, is no fault.
  #writeLate(): void {
    if (this.#out.progressed()) this.outboxBlocked();
    else this.connection.destroy();
  }

  #readLate(): void {
    const phase = this.#phase;
    if (phase === "exchange") {
      if (this.#draining) this.#close();
      else
        this.#exchange?.body.fail(new RequestTimeoutError("bodyIdleMs", this.service.deadlines.bodyIdleMs));
    } else if (this.stopping) {
      // The grace is short, and a busy event loop sees it pass before it reads what has come in the meantime.
      setImmediate(() => this.#phase === phase && this.#requestLate());
    } else {
      this.#requestLate();
    }
  }

  #requestLate(): void {
    if (this.#phase === "head") {
      this.core.giveUp();
      this.#refuse(new RequestTimeoutError(this.stopping ? "stopGraceMs" : "headMs", this.#headMs));
    } else {
      this.connection.close();
    }
  }
}

/** Bytes of content still to be read, as far as its length is known; with a chunked coding all that comes may be. */
function unreadContent(body: IncomingBody | undefined): number {
  if (body === undefined || body.ended) return 0;
  return body.length === undefined ? Number.POSITIVE_INFINITY : body.length - body.received;
}

function clientGone(reason: CloseReason): TransportError {
  const code = reason.type === "reset" ? reason.code : "closed";
  return new TransportError(code, "the connection was closed before the response was complete");
}
