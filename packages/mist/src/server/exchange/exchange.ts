// One request and its response.
//
// The exchange calls the handler, turns what comes back into bytes through the HTTP/1 core, and tells the
// connection when both are done. What may go wrong, and who hears of it:
//
//   handler fails, no head sent yet   500 with `connection: close` (or the error's own status), reported
//   body fails, head already sent     the message is broken off, reported
//   peer breaks its body              the reader's pull rejects; uncaught, that is answered 400, 408 or 413
//   peer leaves                       `request.signal` aborts, body producers are closed, nobody is blamed

import { Buffer } from "node:buffer";
import { performance } from "node:perf_hooks";
import { TransportError } from "@x/glisten";
import { callUser } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Fields } from "../../http/fields.ts";
import { Request, type RequestContext } from "../../http/request.ts";
import { Response } from "../../http/response.ts";
import { isBodyless } from "../../http/status.ts";
import type { RequestHead } from "../../http1/request-head.ts";
import { noResponse, type ServerResponse, type UpgradeBody } from "../body/response-body.ts";
import { type BodyWriter, bodyWriter, discardBody } from "../body/response-writer.ts";
import { currentDate } from "./current-date.ts";
import { errorResponse, isPeersFault } from "./error-response.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { type BodyProvider, IncomingBody } from "./request-body.ts";
import type { ErrorReport, Service } from "./service.ts";
import {
  type RequestEndEvent,
  type RequestErrorEvent,
  type RequestStartEvent,
  requestEnd,
  requestError,
  requestStart,
} from "./telemetry.ts";

const noProvider: BodyProvider = { pullBody: () => null };
// Requests without content share one body: it is at its end from the start and holds nothing.
const noBody = new IncomingBody(noProvider, 0);

/** A request that is being answered. */
export class Exchange implements RequestContext {
  readonly host: ExchangeHost;
  readonly head: RequestHead;
  readonly body: IncomingBody;
  readonly request: Request<IncomingBody>;
  /** Status of the final response once its head is written. */
  status: number | undefined = undefined;
  /** Content bytes sent. */
  sent = 0;
  /** True once the final response is complete or given up. */
  over = false;
  #writer: BodyWriter | undefined = undefined;
  #abort: AbortController | undefined = undefined;
  #gone: unknown = undefined;
  #startedAt = 0;

  constructor(host: ExchangeHost, head: RequestHead) {
    this.host = host;
    this.head = head;
    this.body = head.framing === "none" ? noBody : new IncomingBody(host, bodyLength(head));
    this.request = new Request(head, this, this.body);
  }

  get scheme(): "http" | "https" {
    return this.host.scheme;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#gone !== undefined) this.#abort.abort(this.#gone);
    }
    return this.#abort.signal;
  }

  get stopping(): AbortSignal {
    return this.host.connection.stopping;
  }

  /** What the client's going was told with; undefined while it is there. */
  get gone(): unknown {
    return this.#gone;
  }

  /** Calls the handler. Answers before it returns if the handler does. */
  run(): void {
    if (requestEnd.hasSubscribers) this.#startedAt = performance.now();
    if (requestStart.hasSubscribers)
      requestStart.publish({ request: this.request } satisfies RequestStartEvent);
    let result: ServerResponse | Promise<ServerResponse>;
    try {
      result = this.host.service.handler(this.request);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (result instanceof Response) this.answer(result);
    else this.#await(result);
  }

  /** Has `stop` wait for `work`, which goes on behind the response. */
  waitUntil(work: Promise<unknown>): void {
    this.host.service.background.add(work, (error) => this.report(error, "background"));
  }

  /** Sends an informational response ahead of the final one. */
  inform(status: number, fields: Fields): void {
    if (this.over || this.status !== undefined)
      throw new UsageError("the final response is already under way");
    if (this.head.version === "1.0") return; // RFC 9110 §15.2: not to an HTTP/1.0 client
    this.host.write(this.host.core.sendInformational(status, fields));
    this.host.flushSoon();
  }

  /** RFC 9110 §10.1.1: the client waits for this before it sends its content. */
  beforeBody(): void {
    if (this.host.core.continueDue && this.status === undefined) this.inform(100, []);
  }

  /** Sends the final response. A second one is ignored: the first is on its way. */
  answer(response: ServerResponse): void {
    if (this.over || this.status !== undefined) {
      this.#discard(response);
      return;
    }
    try {
      this.#send(response);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The handler, or what produces the body, has failed. */
  fail(error: unknown): void {
    if (this.over) return;
    const during = this.status === undefined ? "handler" : "body";
    // Who was told that the client has gone, and gives up for it, has not failed.
    const gaveUp = this.#gone !== undefined && error === this.#gone;
    if (!isPeersFault(error) && !gaveUp) this.report(error, during);
    if (this.status !== undefined) this.breakOff();
    else this.#send(errorResponse(error));
  }

  /** Gives the response up without blame; the client sees it broken off. */
  breakOff(): void {
    if (this.over) return;
    if (!this.body.ended) this.body.fail(new TransportError("closed", "the response was broken off"));
    this.#finish(false);
    this.host.breakOff();
  }

  /** The peer has closed its side. Whoever asked for the signal hears of it; plain answers are still sent. */
  peerEnded(): void {
    this.#abortSignal(new TransportError("closed", "the client closed the connection"));
    this.#writer?.peerEnded();
  }

  /** The connection is gone. */
  abandon(error: unknown): void {
    if (this.over) return;
    this.#abortSignal(error);
    this.body.fail(error);
    this.#finish(false);
  }

  /** What was written has left: producers may go on. */
  drain(): void {
    this.#writer?.drain();
  }

  /** The server is stopping. */
  shutdown(deadlineMs: number): void {
    this.#writer?.shutdown(deadlineMs);
  }

  /** The instant set by the streaming response has passed. */
  actorDeadline(): void {
    this.#writer?.deadline();
  }

  /** A piece of the response's content; false: wait for `drain`. */
  writeBody(data: string | Uint8Array, onSent?: () => void): boolean {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    if (bytes.length === 0) return true;
    this.sent += bytes.length;
    this.host.flushSoon();
    return this.#writeContent(bytes, bytes.length, onSent);
  }

  /** The response's content is complete. */
  endBody(trailers?: Fields): void {
    if (this.over) return;
    const end = this.host.core.sendEnd(trailers);
    if (end !== "") this.host.write(end);
    this.#finish(true);
    this.host.answered(this);
  }

  #await(result: Promise<ServerResponse>): void {
    if (typeof result?.then !== "function") {
      this.fail(noResponse(result));
      return;
    }
    Promise.resolve(result).then(
      (response) => this.#resolved(response),
      (error) => this.fail(error),
    );
  }

  #resolved(response: ServerResponse): void {
    if (response instanceof Response) this.answer(response);
    else this.fail(noResponse(response));
  }

  #send(response: ServerResponse): void {
    const { body } = response;
    switch (body.kind) {
      case "empty":
        this.#writeHead(response, 0);
        this.endBody();
        return;
      case "bytes":
        this.#sendBytes(response, body.data);
        return;
      case "upgrade":
        this.#upgrade(response, body);
        return;
      default:
        this.#sendStreamed(response, body.kind === "source" ? body.length : undefined);
    }
  }

  #sendBytes(response: ServerResponse, data: string | Uint8Array): void {
    const length = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    this.#writeHead(response, length);
    if (length > 0 && this.host.core.bodyMode !== "none") {
      this.sent = length;
      // Text of as many bytes as characters is ASCII, and may share a string with the head.
      if (typeof data === "string" && data.length !== length) data = Buffer.from(data);
      this.#writeContent(data, length);
    }
    this.endBody();
  }

  #sendStreamed(response: ServerResponse, length: number | undefined): void {
    if (this.body.taken) this.beforeBody(); // an echo reads on behind the head, and 100 cannot follow it
    const { status } = response;
    const hasContent = this.head.method !== "HEAD" && !isBodyless(status) && status !== 205;
    const writer = hasContent ? bodyWriter(this, response.body) : undefined;
    const release = () => (writer === undefined ? this.#discard(response) : writer.close());
    try {
      this.#writeHead(response, length);
    } catch (error) {
      release();
      throw error;
    }
    if (writer === undefined || this.host.core.bodyMode === "none") {
      release();
      this.endBody();
      return;
    }
    this.#writer = writer;
    writer.start();
  }

  #upgrade(response: ServerResponse, body: UpgradeBody): void {
    if (this.head.framing !== "none") throw new UsageError("a request with content cannot be upgraded");
    const head = this.host.core.sendUpgrade(response.headers);
    this.status = response.status;
    this.host.write(head);
    this.#finish(true);
    this.host.upgrade(body, upgradeReporter(this.host.service));
  }

  #discard(response: ServerResponse): void {
    discardBody(response, (error) => this.report(error, "body"));
  }

  #writeContent(data: string | Uint8Array, length: number, onSent?: () => void): boolean {
    const { core } = this.host;
    const prefix = core.sendData(length);
    if (prefix !== "") this.host.write(prefix);
    return this.host.write(data, core.dataSuffix, onSent);
  }

  #writeHead(response: ServerResponse, length: number | undefined): void {
    const { core, closing } = this.host;
    const close = closing || this.#mustClose();
    const head = { status: response.status, fields: response.headers, length, close };
    const text = core.sendHead(head, currentDate());
    this.status = response.status;
    this.host.write(text);
  }

  // Content nobody has asked for is in the way of the next request: it is drained if that is cheap.
  #mustClose(): boolean {
    const { body } = this;
    if (body.ended) return false;
    if (body.failed) return true;
    if (this.host.core.continueDue) return true; // it may come, or not
    if (body.taken) return false;
    return body.length !== undefined && body.length - body.received > this.host.service.limits.maxDrain;
  }

  #finish(complete: boolean): void {
    this.over = true;
    this.#writer?.close();
    if (!requestEnd.hasSubscribers) return;
    requestEnd.publish({
      request: this.request,
      status: this.status,
      durationMs: performance.now() - this.#startedAt,
      bytesRead: this.body.received,
      bytesWritten: this.sent,
      complete,
    } satisfies RequestEndEvent);
  }

  #abortSignal(reason: unknown): void {
    if (this.#gone !== undefined) return;
    this.#gone = reason;
    this.#abort?.abort(reason);
  }

  /** Tells the user of a failure in their code. */
  report(error: unknown, during: ErrorReport["during"]): void {
    if (requestError.hasSubscribers)
      requestError.publish({ request: this.request, error } satisfies RequestErrorEvent);
    void callUser(this.host.service.onError, { error, request: this.request, during });
  }
}

/** One for each server: what lives behind an upgrade holds nothing of the exchange, which is over. */
const upgradeReporters = new WeakMap<Service, (error: unknown) => void>();

function upgradeReporter(service: Service): (error: unknown) => void {
  let reporter = upgradeReporters.get(service);
  if (reporter === undefined) {
    reporter = (error) => void callUser(service.onError, { error, request: undefined, during: "upgraded" });
    upgradeReporters.set(service, reporter);
  }
  return reporter;
}

function bodyLength(head: RequestHead): number | undefined {
  return typeof head.framing === "object" ? head.framing.length : undefined;
}
