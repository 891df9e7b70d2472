// The server's side of one HTTP/1.1 connection without the connection (RFC 9112): bytes in, events
// out; events in, bytes out. It calls nobody and knows no clock and no socket.
//
// Reading: `receive` bytes, then ask `next()` until it says `need-data` or `closed`. Writing: `send`
// an event and write the pieces it returns. Once both sides of a cycle are done, `next()` begins the
// next one. The states, and the steps that change them, stand in state.ts.

import { ProtocolError, UsageError } from "../errors.ts";
import type { Fields } from "../http/fields.ts";
import { ReceiveBuffer } from "../http/receive-buffer.ts";
import { isInformational } from "../http/status.ts";
import { type BodyDecoder, ChunkedDecoder, LengthDecoder } from "./body-decoder.ts";
import { BodyEncoder } from "./body-encoder.ts";
import {
  type Closed,
  closedByPeer,
  type Http1Event,
  lingeringClose,
  type NeedData,
  needRequest,
  needRest,
  type Pieces,
  type ResponseHead,
  type SendEvent,
  type WholeResponse,
} from "./events.ts";
import { HeadReader } from "./head-reader.ts";
import { defaultHttp1Limits, type Http1Limits } from "./limits.ts";
import type { RequestHead } from "./request-head.ts";
import {
  type BodyMode,
  encodeInformational,
  encodeUpgrade,
  type ResponseContext,
  ResponseHeadEncoder,
} from "./response-head.ts";
import * as state from "./state.ts";

const noBytes = Buffer.alloc(0);
const nothing: Pieces = [];
/** One for all connections: what it has settled is read at once. */
const headEncoder = new ResponseHeadEncoder();

export class Http1Connection implements ResponseContext {
  readonly #limits: Http1Limits;
  readonly #state = new state.ConnectionState();
  readonly #buffer = new ReceiveBuffer();
  readonly #heads: HeadReader;
  readonly #bodyEncoder = new BodyEncoder();
  #decoder: BodyDecoder | undefined = undefined;
  #request: RequestHead | undefined = undefined;

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    this.#limits = limits;
    this.#heads = new HeadReader(limits);
  }

  // --- reading ---------------------------------------------------------------------------------

  /** Take bytes from the peer. The buffer belongs to the core from here on (it may write in it). */
  receive(bytes: Buffer): void {
    if (bytes.length === 0 || this.#state.reader >= state.R_CLOSED) return;
    this.#buffer.append(bytes);
  }

  /** The peer will send no more (FIN). */
  receiveEnd(): void {
    this.#state.take(state.FIN);
  }

  /**
   * The next event. Throws a `ProtocolError` (or `LimitError`) once, when the peer broke the
   * protocol; after that only `closed` comes, and one response can still be sent.
   */
  next(): Http1Event {
    try {
      if (this.#state.writer >= state.W_DONE && !this.#beginCycle()) return this.#over();
      switch (this.#state.reader) {
        case state.R_IDLE:
          return this.#nextHead();
        case state.R_EXPECTING:
        case state.R_BODY:
          return this.#nextBody();
        case state.R_DONE:
          return needRest;
        default:
          return lingeringClose;
      }
    } catch (error) {
      this.#fail();
      throw error;
    }
  }

  /** The response is complete: a new cycle if the request is, too. False: there will be none. */
  #beginCycle(): boolean {
    if (this.#state.persistence === state.LAST) return false;
    if (this.#state.reader !== state.R_DONE) return true; // the rest of the request comes first
    this.#state.take(state.NEXT_CYCLE);
    this.#request = undefined;
    return true;
  }

  #nextHead(): Http1Event {
    const head = this.#buffer.length === 0 ? undefined : this.#heads.read(this.#buffer);
    if (head === undefined) return this.#state.input === state.ENDED ? this.#endOfRequests() : this.#need();
    this.#request = head;
    if (head.framing === "none") {
      this.#state.take(state.REQUEST);
    } else {
      this.#state.take(head.expectContinue ? state.REQUEST_EXPECTING : state.REQUEST_WITH_BODY);
      this.#decoder =
        head.framing === "chunked"
          ? new ChunkedDecoder(this.#limits)
          : new LengthDecoder(head.framing.length);
    }
    if (!head.keepAlive) this.#state.take(state.LAST_CYCLE);
    return head;
  }

  #need(): NeedData {
    return this.#buffer.length === 0 ? needRequest : needRest;
  }

  /** The peer's FIN between requests is how a connection ends; inside a head it is a fault. */
  #endOfRequests(): Closed {
    if (this.#buffer.length > 0 && !this.#heads.onlyEmptyLines(this.#buffer)) {
      throw cutOff("the peer closed in the middle of a request head");
    }
    this.#state.take(state.NO_MORE_REQUESTS);
    this.#buffer.clear();
    return lingeringClose;
  }

  #nextBody(): Http1Event {
    const event = (this.#decoder as BodyDecoder).decode(this.#buffer);
    if (event === undefined) {
      if (this.#state.input === state.ENDED) throw cutOff("the peer closed in the middle of a request body");
      return needRest;
    }
    // A client that sends its body did not wait (RFC 9110 §10.1.1).
    if (this.#state.reader === state.R_EXPECTING) this.#state.take(state.CONTINUED);
    if (event.type === "end") {
      this.#state.take(state.BODY_END);
      this.#decoder = undefined;
    }
    return event;
  }

  /** Nothing more is parsed, and nothing received is kept. */
  #fail(): void {
    this.#state.take(state.READ_FAULT);
    this.#buffer.clear();
    this.#decoder = undefined;
  }

  /** The last cycle is over, or the connection speaks another protocol. */
  #over(): Closed {
    const { reader } = this.#state;
    if (reader === state.R_SWITCHED) return lingeringClose;
    const closes = reader === state.R_DONE && this.#buffer.length === 0 && this.#request?.keepAlive === false;
    this.#state.take(state.CYCLES_OVER);
    this.#buffer.clear();
    this.#decoder = undefined;
    return closes ? closedByPeer : lingeringClose;
  }

  /**
   * Stop reading, as after a fault of the peer: what came of a head or body is dropped, `next()` is
   * `closed` from here on, and one response (a 408, say) can still be sent. For deadlines.
   */
  giveUp(): void {
    if (this.#state.reader <= state.R_BODY) this.#fail();
  }

  /** The peer has sent its FIN. */
  get ended(): boolean {
    return this.#state.input === state.ENDED;
  }

  /** There may be a cycle after this one. Settled by the response's head; before it, what the request wants. */
  get persistent(): boolean {
    return this.#state.persistence === state.KEEP;
  }

  /** The request has been read to its end. True while there is none. */
  get requestComplete(): boolean {
    const { reader } = this.#state;
    return reader !== state.R_BODY && reader !== state.R_EXPECTING;
  }

  /** Bytes received and not yet turned into events. */
  get retainedBytes(): number {
    return this.#buffer.length;
  }

  /** After an upgrade: the bytes behind the request, which belong to the new protocol. */
  takeRemaining(): Buffer {
    return this.#buffer.length === 0 ? noBytes : this.#buffer.take(this.#buffer.length);
  }

  // --- writing ---------------------------------------------------------------------------------

  /** The client waits for a 100, as far as anyone can tell, and one can still be sent (RFC 9110 §10.1.1). */
  get continueDue(): boolean {
    return this.#state.writer === state.W_HEAD && this.#awaitsContinue;
  }

  /** How the body behind the head sent last is coded. */
  get bodyMode(): BodyMode {
    return this.#bodyEncoder.mode;
  }

  /**
   * Whether the connection can go on, if the response lets it. It cannot when the peer has ended and sent nothing
   * more; nor while it still waits for a 100: it may now leave the body out, and nobody could tell the body from the
   * next request.
   */
  get mayPersist(): boolean {
    if (this.#state.persistence === state.LAST) return false;
    return !this.#awaitsContinue && !(this.#buffer.length === 0 && this.#state.input === state.ENDED);
  }

  get #awaitsContinue(): boolean {
    return this.#state.reader === state.R_EXPECTING && this.#buffer.length === 0;
  }

  get http10(): boolean {
    return this.#request !== undefined && this.#request.version === "1.0";
  }

  get head(): boolean {
    return this.#heads.isHead;
  }

  /**
   * The pieces to write for `event`, in order; none for what the peer must not get.
   *
   * @throws UsageError if the event cannot be sent now, or not like that. Nothing has changed then, except that a
   * body shorter than its declared length, or with bad trailers, is broken off as by `abort`.
   */
  send(event: SendEvent): Pieces {
    switch (event.type) {
      case "response":
        return this.#sendResponse(event);
      case "content":
        this.#expectWriter(state.W_BODY, "content");
        return this.#bodyEncoder.data(event.data);
      case "head":
        return [this.#sendHead(event, event.length)];
      case "end":
        return this.#sendEnd(event.trailers);
      case "informational":
        return this.#sendInformational(event.status, event.fields);
      case "upgrade":
        return [this.#sendUpgrade(event.fields)];
    }
  }

  #sendResponse(response: WholeResponse): Pieces {
    const { body } = response;
    const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
    const head = this.#sendHead(response, length);
    this.#state.take(state.BODY_SENT);
    if (length === 0 || this.#bodyEncoder.mode === "none") return [head];
    if (typeof body !== "string") return [head, body];
    // Text with as many bytes as characters is ASCII, and may share a string with the head.
    return body.length === length ? [head + body] : [head, Buffer.from(body)];
  }

  #sendHead(response: ResponseHead | WholeResponse, length: number | undefined): string {
    this.#expectWriter(state.W_HEAD, "a response head");
    if (response.status < 200)
      throw new UsageError(`${response.status} is not the status of a final response`);
    const text = headEncoder.encode(response, length, this);
    this.#bodyEncoder.begin(headEncoder.mode, headEncoder.length);
    this.#state.take(state.HEAD_SENT);
    if (!headEncoder.persistent) this.#state.take(state.LAST_CYCLE);
    return text;
  }

  #sendEnd(trailers: Fields): Pieces {
    this.#expectWriter(state.W_BODY, "the end of a body");
    let pieces: Pieces;
    try {
      pieces = this.#bodyEncoder.end(trailers);
    } catch (error) {
      this.abort();
      throw error;
    }
    this.#state.take(state.BODY_SENT);
    return pieces;
  }

  #sendInformational(status: number, fields: Fields): Pieces {
    if (!isInformational(status) || status === 101) {
      throw new UsageError(`an interim status must be from 100 to 199 and not 101, got ${status}`);
    }
    this.#expectWriter(state.W_HEAD, "an interim response");
    if (this.http10) return nothing;
    const text = encodeInformational(status, fields);
    if (status === 100 && this.#state.reader === state.R_EXPECTING) this.#state.take(state.CONTINUED);
    return [text];
  }

  /** The head of a 101. Both sides are switched then; `takeRemaining` has what the peer sent already. */
  #sendUpgrade(fields: Fields): string {
    this.#expectWriter(state.W_HEAD, "an upgrade");
    if (this.#request?.upgrade !== true) throw new UsageError("the request asks for no upgrade");
    if (this.#state.reader !== state.R_DONE)
      throw new UsageError("the request body must be read before an upgrade");
    const text = encodeUpgrade(fields);
    this.#state.take(state.UPGRADE);
    return text;
  }

  /** The response is broken off where it stands; only closing the connection tells the peer. */
  abort(): void {
    if (this.#state.writer !== state.W_SWITCHED) this.#state.take(state.BROKEN_OFF);
  }

  #expectWriter(expected: state.WriterState, what: string): void {
    const { writer } = this.#state;
    if (writer === expected) return;
    throw new UsageError(`${what} cannot be sent now: the response is ${state.writerStateName(writer)}`);
  }
}

function cutOff(message: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section: "RFC 9112 §8", incomplete: true });
}
