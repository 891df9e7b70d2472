// One HTTP/2 stream as the channel of an exchange.

import { Buffer } from "node:buffer";
import type { CloseReason, Connection } from "@x/glisten";
import { clock, Flow } from "@x/glisten/kit";
import { BodyError, ProtocolError, RequestTimeoutError, UsageError } from "../../errors.ts";
import { type Fields, NO_FIELDS } from "../../http/fields.ts";
import type { RequestParts } from "../../http/request.ts";
import { CANCEL } from "../../http2/errors.ts";
import type { RequestHead } from "../../http2/messages/request-head.ts";
import type { Stream } from "../../http2/streams/stream.ts";
import type { UpgradeBody, UpgradeHost } from "../body/response-body.ts";
import type { Channel, ResponseParts } from "../exchange/channel.ts";
import { ContentWait } from "../exchange/content-wait.ts";
import { currentDate } from "../exchange/current-date.ts";
import { Exchange } from "../exchange/exchange.ts";
import type { IncomingBody } from "../exchange/request-body.ts";
import type { Service } from "../exchange/service.ts";
import type { Core, StreamHost, StreamOwner } from "./stream-host.ts";
import { Http2Tunnel } from "./tunnel.ts";

const never = Number.POSITIVE_INFINITY;

/** A request and its response on one stream of an HTTP/2 connection. */
export class Http2Channel implements Channel, StreamOwner {
  readonly exchange: Exchange;
  readonly #host: StreamHost;
  readonly #stream: Stream<StreamOwner>;
  /** Made for responses that are streamed. */
  #room: Flow | undefined = undefined;
  /** Once the request's content had to be waited for. */
  #wait: ContentWait | undefined = undefined;
  #continued = false;
  // Instants; `never` for none.
  #contentUntil = never;
  #actorAt = never;

  constructor(host: StreamHost, stream: Stream<StreamOwner>, head: RequestHead) {
    this.#host = host;
    this.#stream = stream;
    // What comes behind an extended CONNECT is the tunnel's, and no content.
    if (head.protocol !== undefined) this.exchange = new Exchange(this, handshakeOf(head), 0);
    else {
      const { framing } = head;
      const length = framing === "none" ? 0 : framing === "until-end" ? undefined : framing.length;
      this.exchange = new Exchange(this, head, length);
    }
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
    return this.#host.shutdownDeadlineMs >= 0;
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

  // A reader may wait for it: it is enough, or too little for the time it took.
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

  hasRoom(): void {
    this.#room?.open();
  }

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

  leftByPeer(): void {
    const { body } = this.exchange;
    if (!body.ended && !this.#stream.requestComplete) body.fail(cutOff());
    this.exchange.peerEnded();
  }

  abandon(error: unknown, reason: CloseReason): void {
    if (this.exchange.over) return;
    this.exchange.abandon(error);
    this.#room?.abandon(() => error);
    this.#host.done(this, reason.type === "killed");
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
    this.#checkStatus(response.status);
    sendWhole(this.#host.core, this.#stream, response, body);
  }

  sendHead(response: ResponseParts, length: number | undefined): void {
    this.#checkStatus(response.status);
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
    if (how === "reset") this.#host.core.reset(this.#stream, CANCEL);
    else this.#host.breakOff(this.#stream);
    this.#host.done(this);
  }

  // Any 2xx accepts an extended CONNECT (RFC 8441 §5): the client would take the content for what comes in the tunnel.
  #checkStatus(status: number): void {
    if (status < 300 && this.#isTunnel) {
      throw new ProtocolError("there is no WebSocket here", { status: 400, section: "RFC 8441 §5" });
    }
  }

  get #isTunnel(): boolean {
    return this.#stream.head?.protocol !== undefined;
  }

  upgrade({ headers: fields }: ResponseParts): number {
    if (!this.#isTunnel) throw new UsageError("HTTP/2 has no Upgrade (RFC 9113 §8.6)");
    this.#host.core.sendHead(this.#stream, { status: 200, fields, length: undefined }, currentDate());
    this.flush();
    return 200;
  }

  handOver(body: UpgradeBody, host: UpgradeHost): void {
    const tunnel = new Http2Tunnel(this.#host, this.#stream, host);
    this.#stream.owner = tunnel;
    this.#host.handOver(this, tunnel);
    tunnel.start(body);
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
  stream: Stream<StreamOwner>,
  response: ResponseParts,
  body: string | Uint8Array,
): void {
  const { status, headers: fields } = response;
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  core.sendHead(stream, { status, fields, length }, currentDate());
  if (length > 0) core.sendData(stream, body);
  core.sendEnd(stream);
}

/**
 * An extended CONNECT as the handshake that it is in HTTP/1.1: handlers, routers and frameworks look for that (RFC 8441 §5
 * calls the fields obsolete, not the request).
 */
function handshakeOf(head: RequestHead): RequestParts {
  const { target, version, host, port, path, query } = head;
  const fields: Fields = [...head.fields, ["connection", "Upgrade"], ["upgrade", "websocket"]];
  return { method: "GET", target, version, host, port, path, query, fields };
}

function cutOff(): BodyError {
  return new BodyError("malformed-body", "the connection ended before the request body was complete");
}
