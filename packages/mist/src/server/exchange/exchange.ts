// One request and its response, whatever protocol carries them.
//
// The exchange calls the handler, sends what comes back through its channel, and says when the response is complete.
// What can go wrong, and who hears of it:
//
//   handler fails, no head sent yet   500 with `connection: close` (or the error's own status), reported
//   body fails, head already sent     the message is broken off, reported
//   peer breaks its body              the reader's pull rejects; uncaught, that is answered 400, 408 or 413
//   peer leaves                       `request.signal` aborts, body producers are let go of, nobody is blamed
//   peer half-closes                  `request.signal` aborts, as closing begins with the same FIN; a handler that gives
//                                     up, or streams, sends nothing more; a response that is there is still sent

import { Buffer } from "node:buffer";
import { type ConnectionInfo, ipAddressToString, TransportError } from "@x/glisten";
import { callUser, clock, type Flow, isPromiseLike } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { type Fields, fieldLines, NO_FIELDS } from "../../http/fields.ts";
import { Request, type RequestExchange, type RequestParts } from "../../http/request.ts";
import type { RequestContext } from "../../http/request-context.ts";
import { Response, type Trailers } from "../../http/response.ts";
import { isBodyless } from "../../http/status.ts";
import type { BodySink } from "../body/body-sink.ts";
import type { BodyWriter } from "../body/body-writer.ts";
import { noResponse, type ServerResponse, sourceOf, type UpgradeBody } from "../body/response-body.ts";
import { bodyWriter, discardBody } from "../body/writers.ts";
import { currentContext, type Enter, leave, within } from "./async-context.ts";
import type { Channel } from "./channel.ts";
import { abortReason, answerFailure, isOrComesFrom, isPeersFault } from "./failure.ts";
import { type Forwarded, readForwarded } from "./forwarded.ts";
import { type BodyProvider, IncomingBody } from "./request-body.ts";
import { requestId } from "./request-id.ts";
import { type ErrorReport, report, upgradeHost } from "./service.ts";
import { type RequestEndEvent, requestTracing } from "./telemetry.ts";
import { tracedHandler } from "./traced-handler.ts";

const noProvider: BodyProvider = { pull: () => null };
// Requests without content share one body: it is at its end from the start and holds nothing.
const noBody = new IncomingBody(noProvider, 0);

/** What few handlers ask for. An exchange has none of it before. */
interface Extras {
  forwarded: Forwarded | undefined;
  context: RequestContext | undefined;
  id: string | undefined;
}

/** Somebody who wants to hear how a request ends, and its asynchronous context to be kept until then. */
interface Observation {
  readonly onOver: (event: RequestEndEvent) => void;
  /** The context of the handler. */
  inside: Enter;
  /** Whoever observed before, further out. */
  readonly outer: Observation | undefined;
}

/** A request that is being answered. */
export class Exchange implements RequestExchange, BodySink {
  readonly channel: Channel;
  readonly body: IncomingBody;
  readonly request: Request<IncomingBody>;
  /** The final response is complete or given up. */
  over = false;
  /** Status of the final response once its head is sent. */
  #status: number | undefined = undefined;
  /** Content bytes sent. */
  #sent = 0;
  #writer: BodyWriter | undefined = undefined;
  #trailers: Trailers | undefined = undefined;
  #abort: AbortController | undefined = undefined;
  #gone: unknown = undefined;
  #startedAt = 0;
  #extras: Extras | undefined = undefined;
  /** What the response failed with. */
  #error: unknown = undefined;
  #observation: Observation | undefined = undefined;

  /** @param length bytes of the request's content; 0: it has none, undefined: not known beforehand. */
  constructor(channel: Channel, head: RequestParts, length: number | undefined) {
    this.channel = channel;
    this.body = length === 0 ? noBody : new IncomingBody(channel, length);
    this.request = new Request(head, this, this.body);
  }

  // ── what the handler sees ───────────────────────────────────────────────────────────────────────────────

  get scheme(): "http" | "https" {
    return this.channel.scheme;
  }

  get forwarded(): Forwarded | undefined {
    const { service, connection } = this.channel;
    if (service.forwarded === undefined) return undefined;
    const extras = this.#extra();
    extras.forwarded ??= readForwarded(service.forwarded, connection, this.request.headers);
    return extras.forwarded;
  }

  get ownAuthority(): string | undefined {
    try {
      const { ipAddress, port } = this.channel.connection.info().local;
      const address = ipAddressToString(ipAddress);
      return ipAddress.type === "ipv6" ? `[${address}]:${port}` : `${address}:${port}`;
    } catch {
      return undefined;
    }
  }

  get context(): RequestContext {
    const extras = this.#extra();
    extras.context ??= {};
    return extras.context;
  }

  get id(): string {
    const extras = this.#extra();
    extras.id ??= requestId(this.channel.service.requestId, this.request.headers);
    return extras.id;
  }

  #extra(): Extras {
    this.#extras ??= { forwarded: undefined, context: undefined, id: undefined };
    return this.#extras;
  }

  /** Both ends: the client that trusted proxies tell of, or the peer. Throws as `Connection.info` does. */
  connectionInfo(): ConnectionInfo {
    return this.forwarded?.info ?? this.channel.connection.info();
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#gone !== undefined) this.#abort.abort(abortReason(this.#gone));
    }
    return this.#abort.signal;
  }

  get stopping(): AbortSignal {
    return this.channel.connection.stopping;
  }

  /** Has `stop` wait for `work`, which goes on behind the response. */
  waitUntil(work: Promise<unknown>): void {
    this.channel.service.background.add(work, (error) => this.#report(error, "background"));
  }

  /** Sends an informational response ahead of the final one. */
  inform(status: number, fields: Fields): void {
    if (this.over || this.#status !== undefined)
      throw new UsageError("the final response is already under way");
    this.channel.inform(status, fields);
  }

  // ── from the handler to the response ────────────────────────────────────────────────────────────────────

  /** Calls the handler. Answers before it returns if the handler does. */
  run(): void {
    const { handler, events } = this.channel.service;
    if (events["request:end"].wanted) this.#startedAt = clock.now();
    if (events["request:start"].wanted) events["request:start"].publish({ request: this.request });
    let result: ServerResponse | Promise<ServerResponse>;
    let pending: boolean;
    try {
      result = requestTracing.hasSubscribers ? tracedHandler(handler, this) : handler(this.request);
      pending = !(result instanceof Response) && isPromiseLike(result);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!pending) this.#answer(result as ServerResponse);
    else {
      Promise.resolve(result).then(
        (response) => this.#answer(response),
        (error) => this.fail(error),
      );
    }
  }

  /** Sends the final response, unless one is on its way or nobody is left to take it. */
  #answer(response: ServerResponse): void {
    if (!(response instanceof Response)) this.fail(noResponse(response));
    else if (this.over || this.#status !== undefined) this.#discard(response);
    else {
      try {
        if (this.#observation === undefined) this.#send(response);
        else this.#inContext(() => this.#send(response));
      } catch (error) {
        this.fail(error);
      }
    }
  }

  /**
   * Tells `onOver` how this request ends. What comes of it, loops and producers included, runs in the asynchronous
   * context in which the function that is returned is called.
   */
  observe(onOver: (event: RequestEndEvent) => void): () => void {
    if (this.#startedAt === 0) this.#startedAt = clock.now();
    const observation = { onOver, inside: currentContext(), outer: this.#observation };
    this.#observation = observation;
    if (this.over) this.#tell(observation, this.#endEvent(false));
    return () => {
      observation.inside = currentContext();
    };
  }

  #send(response: ServerResponse): void {
    const { body, trailers } = response;
    if (trailers !== undefined) this.#trailers = trailers;
    switch (body.kind) {
      case "empty":
      case "bytes":
        if (trailers === undefined) this.#respond(response, body.kind === "empty" ? "" : body.data);
        else this.#stream(response.setBody(sourceOf(body)));
        return;
      case "upgrade":
        this.#upgrade(response, body);
        return;
      default:
        this.#stream(response);
    }
  }

  #respond(response: ServerResponse, content: string | Uint8Array): void {
    this.channel.respond(response, content);
    this.#status = response.status;
    if (this.#endWanted && this.#hasContent(response.status)) this.#sent = Buffer.byteLength(content);
    this.#finish(true);
    this.#goOn();
  }

  #stream(response: ServerResponse): void {
    const { status, body } = response;
    if (!this.#hasContent(status)) {
      try {
        this.channel.sendHead(response, body.kind === "source" ? body.length : undefined);
        this.#status = status;
      } finally {
        this.#discard(response);
      }
      this.#complete(NO_FIELDS);
      return;
    }
    // A client that has half-closed waits for what is there, not for what is yet to be produced.
    if (this.channel.peerEnded && body.kind !== "source") {
      this.#discard(response);
      this.#leave(halfClosed());
      return;
    }
    const writer = bodyWriter(this, body);
    try {
      this.channel.sendHead(response, body.kind === "source" ? body.length : undefined);
    } catch (error) {
      writer.close();
      throw error;
    }
    this.#status = status;
    this.#writer = writer;
    writer.start();
  }

  #upgrade(response: ServerResponse, body: UpgradeBody): void {
    if (this.body.length !== 0) throw new UsageError("a request with content cannot be upgraded");
    this.#status = this.channel.upgrade(response);
    this.#finish(true);
    this.channel.handOver(body, upgradeHost(this.channel.service));
  }

  #discard(response: ServerResponse): void {
    discardBody(response.body, (error) => this.report(error));
  }

  // Whether content follows this head at all (RFC 9110 §6.4.1, §9.3.2, §15.3.6).
  #hasContent(status: number): boolean {
    return this.request.method !== "HEAD" && !isBodyless(status) && status !== 205;
  }

  // ── what the writer of a streamed body calls ────────────────────────────────────────────────────────────

  get room(): Flow {
    return this.channel.room;
  }

  get bufferedAmount(): number {
    return this.channel.bufferedAmount;
  }

  get gone(): unknown {
    return this.#gone;
  }

  get shuttingDown(): boolean {
    return this.channel.shuttingDown;
  }

  flush(): void {
    this.channel.flush();
  }

  write(data: string | Uint8Array, onSent?: () => void): void {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    if (!ArrayBuffer.isView(bytes))
      throw new UsageError(`a piece of a body must be a string or a Uint8Array, got ${typeof data}`);
    if (bytes.length === 0) return;
    this.#sent += bytes.length;
    this.channel.sendData(bytes, onSent);
    this.channel.flush();
  }

  end(): void {
    if (this.over) return;
    if (this.#trailers === undefined) this.#complete(NO_FIELDS);
    else void this.#completeWith(this.#trailers);
  }

  async #completeWith(trailers: Trailers): Promise<void> {
    try {
      this.#complete(fieldLines(await trailers(), "trailers"));
    } catch (error) {
      this.fail(error);
    }
  }

  #complete(trailers: Fields): void {
    if (this.over) return;
    try {
      this.channel.sendEnd(trailers);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#finish(true);
    this.#goOn();
  }

  /** The handler, or what produces the body, has failed. */
  fail(error: unknown): void {
    if (this.over) return;
    const during = this.#status === undefined ? "handler" : "body";
    // Giving up because the client has gone is not a failure, and a 500 would say that it was.
    if (this.#gaveUp(error)) {
      this.#leave(this.#gone);
      return;
    }
    if (!isPeersFault(error)) this.#report(error, during);
    if (this.#status !== undefined) this.breakOff();
    else
      this.#inContext(() =>
        answerFailure(this.channel.service, error, this.request, (response) => this.#send(response)),
      );
  }

  breakOff(how: "close" | "reset" = "close"): void {
    if (this.over) return;
    if (!this.body.ended) this.body.fail(new TransportError("closed", "the response was broken off"));
    this.#finish(false);
    this.channel.abort(how);
  }

  /** Giving up because the client has gone is not a failure: it is not reported. */
  report(error: unknown): void {
    if (!this.#gaveUp(error)) this.#report(error, "body");
  }

  #gaveUp(error: unknown): boolean {
    return this.#gone !== undefined && isOrComesFrom(error, this.#gone);
  }

  setDeadline(ms: number): void {
    this.channel.setDeadline(ms);
  }

  // ── what the channel tells ──────────────────────────────────────────────────────────────────────────────

  /**
   * The peer has closed its side. Nothing more is produced for it, and whoever asked for the signal hears of it; a
   * response that is all there is still sent.
   */
  peerEnded(): void {
    if (this.over) return;
    const gone = halfClosed();
    if (this.#writer?.endsWithPeer === true) this.#leave(gone);
    else this.#abortSignal(gone);
  }

  /** The connection is gone. */
  abandon(error: unknown): void {
    if (this.over) return;
    this.#abortSignal(error);
    if (!this.body.ended) this.body.fail(error);
    this.#finish(false);
  }

  /** The server is stopping. */
  shutdown(deadlineMs: number): void {
    this.#writer?.shutdown(deadlineMs);
  }

  /** The instant set with `setDeadline` has passed. */
  deadline(): void {
    this.#writer?.deadline();
  }

  // ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

  #leave(gone: unknown): void {
    this.abandon(gone);
    this.channel.abort("close");
  }

  #finish(complete: boolean): void {
    this.over = true;
    const writer = this.#writer;
    if (writer !== undefined) this.#inContext(() => writer.close());
    if (!this.#endWanted) return;
    const event = this.#endEvent(complete);
    for (let observation = this.#observation; observation !== undefined; observation = observation.outer)
      this.#tell(observation, event);
    const ended = this.channel.service.events["request:end"];
    if (ended.wanted) this.#inContext(() => ended.publish(event));
  }

  get #endWanted(): boolean {
    return this.#observation !== undefined || this.channel.service.events["request:end"].wanted;
  }

  #endEvent(complete: boolean): RequestEndEvent {
    return {
      request: this.request,
      status: this.#status,
      durationMs: clock.now() - this.#startedAt,
      bytesRead: this.body.received,
      bytesWritten: this.#sent,
      complete,
      error: this.#error,
    };
  }

  #tell({ onOver, inside }: Observation, event: RequestEndEvent): void {
    void callUser(() => inside(onOver, event), undefined);
  }

  /** Calls what is the user's in the context that an observer wants kept. */
  #inContext(run: () => void): void {
    if (this.#observation === undefined) run();
    else within(this.#observation.inside, run);
  }

  /** The channel goes on to the next request, which does not belong to this one's context. */
  #goOn(): void {
    if (this.#observation === undefined) this.channel.finished();
    else leave(this.channel.service.outside, () => this.channel.finished());
  }

  #abortSignal(reason: unknown): void {
    if (this.#gone !== undefined) return;
    this.#gone = reason;
    const abort = this.#abort;
    if (abort !== undefined) this.#inContext(() => abort.abort(abortReason(reason)));
  }

  #report(error: unknown, during: ErrorReport["during"]): void {
    if (during !== "background") this.#error ??= error;
    const { service } = this.channel;
    const failed = service.events["request:error"];
    this.#inContext(() => {
      if (failed.wanted) failed.publish({ request: this.request, error });
      report(service, { error, request: this.request, during });
    });
  }
}

function halfClosed(): TransportError {
  return new TransportError("closed", "the client closed the connection");
}
