// One HTTP/1 connection: moves bytes between a glisten connection and the HTTP/1 core, one exchange at a time.
//
// Bytes that arrive go into the core. `#run` is the loop that takes requests out of it, and what is left of a body that
// nobody wanted; during an exchange `pull` takes the body. What is sent is gathered in the output and leaves in one
// write per turn, so that pipelined responses share it.
//
//   phase       waits for                              when late
//   fresh       the first byte                         closed without a word
//   head        the rest of a request head             408
//   calling     nothing: the handler is on the stack, called by `#run`
//   exchange    the handler, or content                408 for content; the handler may take its time
//   draining    the rest of content nobody wanted      closed
//   idle        the next request                       closed without a word
//   closing     nothing: glisten flushes, half-closes, and reads on for a moment (RFC 9112 §9.6)
//   upgraded    nothing here: another protocol has the connection

import type { Buffer } from "node:buffer";
import type { CloseReason, Connection, Protocol } from "@x/glisten";
import type { Flow } from "@x/glisten/kit";
import { clock } from "@x/glisten/kit";
import { BodyError, ProtocolError, RequestTimeoutError } from "../../errors.ts";
import type { Fields } from "../../http/fields.ts";
import { Http1Connection } from "../../http1/connection.ts";
import type { Http1Event, SendEvent } from "../../http1/events.ts";
import type { RequestHead } from "../../http1/request-head.ts";
import type { UpgradeBody, UpgradeHost } from "../body/response-body.ts";
import type { Channel, ResponseParts } from "../exchange/channel.ts";
import { ContentWait } from "../exchange/content-wait.ts";
import { currentDate } from "../exchange/current-date.ts";
import { Exchange } from "../exchange/exchange.ts";
import { answerFailure, clientGone, type FailureResponse } from "../exchange/failure.ts";
import type { IncomingBody } from "../exchange/request-body.ts";
import { noteRefusal, type Service } from "../exchange/service.ts";
import { switchProtocol } from "../switch-protocol.ts";
import { ConnectionDeadlines, type DeadlineKind } from "./deadlines.ts";
import { Output } from "./output.ts";

type Phase =
  | "fresh"
  | "head"
  | "calling"
  | "exchange"
  | "draining"
  | "idle"
  | "closing"
  | "upgraded"
  | "closed";

/** One HTTP/1 connection, as glisten's protocol and as the channel of the exchange in work. */
export class HttpConnection implements Protocol, Channel {
  readonly service: Service;
  readonly kind = "http";
  readonly connection: Connection;
  readonly scheme: "http" | "https";
  readonly #core: Http1Connection;
  readonly #out: Output;
  readonly #deadlines: ConnectionDeadlines;
  #phase: Phase = "fresh";
  /** Until its response is complete. */
  #exchange: Exchange | undefined = undefined;
  /** Of the request in work, once its content had to be waited for. */
  #wait: ContentWait | undefined = undefined;
  /** Bytes of unwanted content dropped behind the response sent last. */
  #dropped = 0;
  /** The deadline that the content of the request in work has missed. */
  #bodyDeadline: string | undefined = undefined;
  #shutdownDeadlineMs = -1;
  #receivedStopping = 0;

  constructor(service: Service, connection: Connection) {
    this.service = service;
    this.connection = connection;
    this.scheme = connection.transport === "tls" ? "https" : "http";
    this.#core = new Http1Connection(service.limits);
    this.#out = new Output(connection);
    this.#deadlines = new ConnectionDeadlines(connection);
    this.#deadlines.set("read", service.deadlines.headMs);
  }

  // ── what glisten tells ──────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void {
    if (this.#phase === "closing") return;
    if (this.shuttingDown) this.#receivedStopping += chunk.length;
    this.#core.receive(chunk);
    if (this.#exchange === undefined) this.#run();
    else this.#feed(this.#exchange.body);
    this.#boundBuffer();
  }

  end(): void {
    if (this.#phase === "closing") return;
    this.#core.receiveEnd();
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#run();
      return;
    }
    this.#feed(exchange.body);
    exchange.peerEnded();
  }

  drain(): void {
    this.#out.room.open();
    if (this.#exchange === undefined) this.#run();
  }

  shutdown(deadlineMs: number): void {
    this.#shutdownDeadlineMs = deadlineMs;
    if (this.#exchange !== undefined) this.#exchange.shutdown(deadlineMs);
    // A request already under way is still answered. A peer that says nothing, or never ends its head, is let go.
    else if (this.#phase !== "draining" && this.#takesRequests()) this.#deadlines.set("read", this.#graceMs);
  }

  deadline(): void {
    this.#deadlines.dispatch((kind) => this.#late(kind));
  }

  closed(reason: CloseReason): void {
    this.#phase = "closed";
    const exchange = this.#exchange;
    // Nobody waits for room between requests, and an error captures its stack: a tenth of a short connection.
    if (exchange === undefined) return;
    this.#exchange = undefined;
    const gone = clientGone(reason);
    exchange.abandon(gone);
    this.#out.room.abandon(() => gone);
  }

  // ── requests ────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes requests until one has to be waited for, or its response. */
  #run(): void {
    while (this.#takesRequests()) {
      let event: Http1Event;
      try {
        event = this.#core.next();
      } catch (error) {
        this.#refuse(error);
        return;
      }
      switch (event.type) {
        case "request":
          this.#begin(event);
          break;
        case "data":
          if (!this.#drop(event.data)) return;
          break;
        case "end":
          this.#phase = "idle";
          break;
        case "need-data":
          this.#await(event.begun);
          return;
        case "closed":
          this.#close(event.lingers);
          return;
      }
    }
    // An exchange under way may answer within this very tick; then its response shares the write.
    if (this.#exchange === undefined) this.#out.flush();
    else if (this.#out.length > 0) this.flush();
  }

  #takesRequests(): boolean {
    switch (this.#phase) {
      case "fresh":
      case "head":
      case "idle":
        return !this.#out.room.blocked; // nothing new for a peer that does not take what it has asked for
      case "draining":
        return true;
      default:
        return false;
    }
  }

  #begin(head: RequestHead): void {
    const { framing } = head;
    const length = framing === "none" ? 0 : framing === "chunked" ? undefined : framing.length;
    const exchange = new Exchange(this, head, length);
    this.#exchange = exchange;
    this.#phase = "calling";
    exchange.run();
    if (this.#exchange !== exchange) return;
    this.#phase = "exchange";
    if (!exchange.body.waiting) this.#deadlines.set("read", 0);
  }

  #await(begun: boolean): void {
    this.#out.flush();
    this.connection.resume();
    if (this.#phase === "draining" || (begun && this.#phase === "head")) return;
    const wasFresh = this.#phase === "fresh";
    if (begun) this.#phase = "head";
    else if (!wasFresh) this.#phase = "idle";
    if (begun) this.#deadlines.set("read", this.#headMs);
    else if (this.shuttingDown) this.#deadlines.set("read", this.#graceMs);
    else if (!wasFresh) this.#deadlines.set("read", this.service.deadlines.keepAliveMs);
  }

  /** How long the rest of a head may take. */
  get #headMs(): number {
    return this.shuttingDown ? this.#graceMs : this.service.deadlines.headMs;
  }

  get #graceMs(): number {
    return Math.max(1, this.service.deadlines.stopGraceMs);
  }

  // What came is not a request: say so once and hang up. Nothing behind it is looked at.
  #refuse(error: unknown, deadline?: string): void {
    if (!(error instanceof ProtocolError || error instanceof RequestTimeoutError)) {
      this.connection.destroy(error); // ours, then; thrown from here it might find nobody to catch it
      return;
    }
    if (this.#phase !== "draining")
      answerFailure(this.service, error, undefined, (response) => this.#sendRefusal(response, error));
    this.#close(true, deadline);
  }

  #sendRefusal(response: FailureResponse, error: ProtocolError | RequestTimeoutError): void {
    const { status, headers, body } = response;
    const content = body.kind === "bytes" ? body.data : "";
    this.#send({
      type: "response",
      status,
      fields: headers,
      body: content,
      close: true,
      date: currentDate(),
    });
    noteRefusal(this.service, this.connection, error, status);
  }

  // ── content ─────────────────────────────────────────────────────────────────────────────────────────────

  /** The next piece of the request's content, null at the end, undefined if it has yet to come. */
  pull(body: IncomingBody): Buffer | null | undefined {
    let event: Http1Event;
    try {
      event = this.#core.next();
    } catch (error) {
      throw error instanceof ProtocolError ? new BodyError("malformed-body", error.message, error) : error;
    }
    if (event.type === "need-data") {
      this.#continue();
      this.#wait ??= new ContentWait();
      this.#wait.begin();
      this.connection.resume();
      this.#deadlines.set("read", this.service.deadlines.bodyIdleMs);
      return undefined;
    }
    if (this.#wait?.end() === true) this.#deadlines.set("read", 0);
    if (event.type === "data") return event.data;
    if (event.type === "end") body.trailers = event.trailers;
    return null;
  }

  /** Bytes came while a reader waits: enough of them, or too few for the time it took. */
  #feed(body: IncomingBody): void {
    const wait = this.#wait;
    if (!body.waiting || wait === undefined) return;
    const { minBodyRate } = this.service.deadlines;
    const due = wait.bytesDue(minBodyRate);
    if (due > 0 && body.received + this.#core.retainedBytes < due)
      this.#failBody(body, wait.tooSlow(minBodyRate));
    else body.resume();
  }

  #failBody(body: IncomingBody, error: RequestTimeoutError): void {
    this.#core.giveUp();
    this.#bodyDeadline = error.deadline;
    body.fail(error);
  }

  // The client waits for this before it sends its content (RFC 9110 §10.1.1).
  #continue(): void {
    if (this.#core.continueDue) this.inform(100, []);
  }

  // What nobody waits for is not collected: requests behind one in work, or behind responses the peer does not take.
  #boundBuffer(): void {
    const waits =
      this.#exchange === undefined
        ? this.#phase === "idle" && this.#out.room.blocked
        : !this.#exchange.body.waiting;
    if (waits && this.#core.retainedBytes > this.service.limits.maxBuffered) this.connection.pause();
  }

  // Content the handler did not want stands before the next request. False: it is more than that request is worth.
  #drop(data: Buffer): boolean {
    this.#dropped += data.length;
    if (this.#dropped <= this.service.limits.maxDrain) return true;
    this.#close(true);
    return false;
  }

  // ── responses ───────────────────────────────────────────────────────────────────────────────────────────

  get room(): Flow {
    return this.#out.room;
  }

  get bufferedAmount(): number {
    return this.connection.bufferedAmount + this.#out.length;
  }

  get shuttingDown(): boolean {
    return this.#shutdownDeadlineMs >= 0;
  }

  get peerEnded(): boolean {
    return this.#core.ended;
  }

  inform(status: number, fields: Fields): void {
    this.#send({ type: "informational", status, fields });
    this.flush();
  }

  respond(response: ResponseParts, body: string | Uint8Array): void {
    const { status, headers } = response;
    this.#send({
      type: "response",
      status,
      fields: headers,
      body,
      close: this.#closes(),
      date: currentDate(),
    });
  }

  sendHead(response: ResponseParts, length: number | undefined): void {
    // An echo reads on behind the head, and a 100 cannot follow it.
    if (this.#exchange?.body.taken === true) this.#continue();
    const { status, headers: fields, trailers } = response;
    // Trailers need the chunked coding (RFC 9112 §7.1.2), which HTTP/1.0 does not have.
    const sized = trailers === undefined || this.#core.http10 ? length : undefined;
    this.#send({ type: "head", status, fields, length: sized, close: this.#closes(), date: currentDate() });
  }

  sendData(data: Uint8Array, onSent?: () => void): void {
    this.#send({ type: "content", data }, onSent);
  }

  sendEnd(trailers: Fields): void {
    this.#send({ type: "end", trailers });
  }

  flush(): void {
    this.#out.flushSoon();
  }

  finished(): void {
    const body = (this.#exchange as Exchange).body;
    const called = this.#phase === "calling";
    this.#exchange = undefined;
    this.#wait = undefined;
    if (body.ended) {
      this.#phase = "idle";
    } else {
      // The content is the connection's from here on. A reader left behind must not take the next request's.
      if (body.waiting) this.#core.giveUp();
      body.leaveUnread();
      this.#phase = "draining";
      this.#dropped = 0;
      // One deadline for all of it: nobody reads it.
      this.#deadlines.set("read", this.service.deadlines.bodyIdleMs);
    }
    if (!called) this.#run();
  }

  abort(how: "close" | "reset"): void {
    this.#exchange = undefined;
    this.#phase = "closing";
    this.#core.abort();
    this.#out.flush();
    // Without a length or a coding, a FIN would look like the end of the message (RFC 9112 §8): only a reset tells.
    if (how === "reset" || this.#core.bodyMode === "until-close") this.connection.reset();
    else if (this.#out.room.blocked) this.connection.destroy();
    // What was sent before, such as the answers to earlier requests, still leaves: the client takes it.
    else this.connection.close();
  }

  upgrade(response: ResponseParts): number {
    this.#send({ type: "upgrade", fields: response.headers });
    return response.status;
  }

  handOver(body: UpgradeBody, host: UpgradeHost): void {
    this.#exchange = undefined;
    this.#phase = "upgraded";
    this.#deadlines.clear(); // the slot is the new protocol's
    const leftover = this.#core.takeRemaining();
    const { ended } = this.#core;
    this.connection.cork();
    // The 101 goes first: the new protocol may speak as soon as it starts.
    this.#out.flush();
    try {
      const next = body.start(this.connection, host);
      this.connection.resume();
      const shutdownDeadlineMs = this.#shutdownDeadlineMs;
      switchProtocol(this.connection, next, { leftover, ended, shutdownDeadlineMs });
    } catch (error) {
      this.connection.destroy(error);
    }
    this.connection.uncork();
  }

  setDeadline(ms: number): void {
    this.#deadlines.set("actor", ms);
  }

  #send(event: SendEvent, onSent?: () => void): void {
    this.#out.write(this.#core.send(event), onSent);
  }

  /** Whether the connection closes behind this response. */
  #closes(): boolean {
    const { body } = this.#exchange as Exchange;
    if (this.shuttingDown && this.#lastWhileStopping(body)) return true;
    // Content nobody has asked for is in the way of the next request: it is drained if that is cheap.
    if (body.failed) return true;
    if (body.ended || body.taken) return false;
    return body.length !== undefined && body.length - body.received > this.service.limits.maxDrain;
  }

  // Requests that came before the stop are still answered, within a limit: a client may never cease to ask. Content that
  // the handler has left unread is not a request.
  #lastWhileStopping(body: IncomingBody): boolean {
    const late = this.#receivedStopping > this.service.limits.maxBuffered;
    return late || this.#core.retainedBytes <= unreadContent(body);
  }

  /**
   * Closes the connection behind what was written. If the peer has said all it will say, and the kernel has all of
   * ours, nobody needs to wait for the other; lingering is for those who might still be sending.
   */
  #close(lingers: boolean, deadline?: string): void {
    this.#exchange = undefined;
    this.#phase = "closing";
    this.#deadlines.set("read", 0);
    this.#out.flush();
    this.connection.resume();
    // A close of TLS wants to be said, and answered.
    if (!lingers && this.scheme === "http" && this.connection.bufferedAmount === 0) this.connection.destroy();
    else this.connection.close(deadline ?? this.#bodyDeadline);
  }

  // ── deadlines ───────────────────────────────────────────────────────────────────────────────────────────

  #late(kind: DeadlineKind): void {
    if (this.#phase === "closed") return;
    if (kind === "actor") this.#exchange?.deadline();
    else this.#readLate();
  }

  #readLate(): void {
    const phase = this.#phase;
    if (this.#exchange !== undefined)
      this.#failBody(
        this.#exchange.body,
        new RequestTimeoutError("bodyIdleMs", this.service.deadlines.bodyIdleMs),
      );
    // The grace is short, and a busy event loop sees it pass before it reads what has come in the meantime.
    else if (this.shuttingDown && phase !== "draining")
      clock.nextTurn(() => this.#phase === phase && this.#requestLate());
    else this.#requestLate();
  }

  #requestLate(): void {
    if (this.#phase === "head") {
      this.#core.giveUp();
      const deadline = this.shuttingDown ? "stopGraceMs" : "headMs";
      this.#refuse(new RequestTimeoutError(deadline, this.#headMs), deadline);
    } else if (this.#phase === "idle" && !this.shuttingDown && this.connection.bufferedAmount > 0) {
      // The client still takes the last response, within glisten's send deadline: it is not idle yet.
      this.#deadlines.set("read", this.service.deadlines.keepAliveMs);
    } else this.#close(true, this.#missedDeadline);
  }

  /** The name of the deadline that has passed. A stop lets idle connections go; that is none. */
  get #missedDeadline(): string | undefined {
    if (this.#phase === "draining") return "bodyIdleMs";
    if (this.shuttingDown) return undefined;
    return this.#phase === "fresh" ? "headMs" : "keepAliveMs";
  }
}

/** Bytes of content still to be read, as far as its length is known; with a chunked coding all that comes may be. */
function unreadContent(body: IncomingBody): number {
  if (body.ended) return 0;
  return body.length === undefined ? Number.POSITIVE_INFINITY : body.length - body.received;
}
