/**
 * The server's side of one HTTP/1.1 connection, without the connection: bytes in, events out;
 * answers in, text out (RFC 9112). It calls nobody, knows no clock and no socket.
 *
 * Reading: `receive` bytes, ask `next()` until it says `need-data`, `paused` or `closed`. Writing:
 * `sendHead`, `sendData`, `sendEnd` return what to write. When both sides of a cycle are done,
 * `startNextCycle`. The states and what moves them stand in state.ts.
 */

import { ProtocolError, UsageError } from "../errors.ts";
import { type Fields, NO_FIELDS } from "../http/fields.ts";
import { ReceiveBuffer } from "../http/receive-buffer.ts";
import { isInformational } from "../http/status.ts";
import { type BodyDecoder, ChunkedDecoder, LengthDecoder } from "./body-decoder.ts";
import { BodyEncoder } from "./body-encoder.ts";
import { CLOSED, type Http1Event, NEED_DATA, PAUSED } from "./events.ts";
import { HeadReader } from "./head-reader.ts";
import { DEFAULT_LIMITS, type Http1Limits } from "./limits.ts";
import type { RequestHead } from "./request-head.ts";
import {
  type BodyMode,
  encodeInformational,
  encodeUpgrade,
  type ResponseContext,
  type ResponseHead,
  ResponseHeadEncoder,
} from "./response-head.ts";
import * as state from "./state.ts";
import { readerAfter, writerAfter, writerStateName } from "./state.ts";

const EMPTY = Buffer.alloc(0);
/** One for all connections: what it has settled is read at once. */
const HEAD_ENCODER = new ResponseHeadEncoder();

export class Http1Connection implements ResponseContext {
  private readonly limits: Http1Limits;
  private readonly buffer = new ReceiveBuffer();
  private readonly heads: HeadReader;
  private readonly bodyEncoder = new BodyEncoder();
  private reader: number = state.R_IDLE;
  private writer: number = state.W_IDLE;
  private decoder: BodyDecoder | undefined = undefined;
  private request: RequestHead | undefined = undefined;
  /** The client waits for a 100 that was not sent yet. */
  private awaitsContinue = false;
  private hasEnded = false;
  private isPersistent = true;

  constructor(limits: Http1Limits = DEFAULT_LIMITS) {
    this.limits = limits;
    this.heads = new HeadReader(limits);
  }

  // --- reading ---------------------------------------------------------------------------------

  /** Take bytes from the peer. The buffer belongs to the core from here on (it may write in it). */
  receive(bytes: Buffer): void {
    if (bytes.length === 0 || this.reader >= state.R_CLOSED) return;
    this.buffer.append(bytes);
  }

  /** The peer will send no more (FIN). */
  receiveEnd(): void {
    this.hasEnded = true;
  }

  /**
   * The next event. Throws a `ProtocolError` (or `LimitError`) once, when the peer broke the
   * protocol; after that only `closed` comes, and one answer can still be sent.
   */
  next(): Http1Event {
    try {
      switch (this.reader) {
        case state.R_IDLE:
          return this.nextHead();
        case state.R_BODY:
          return this.nextBody();
        case state.R_DONE:
        case state.R_SWITCHED:
          return PAUSED;
        default:
          return CLOSED;
      }
    } catch (error) {
      this.fail();
      throw error;
    }
  }

  private nextHead(): Http1Event {
    if (this.buffer.length === 0) return this.hasEnded ? this.endOfRequests() : NEED_DATA;
    const head = this.heads.read(this.buffer);
    if (head === undefined) return this.hasEnded ? this.endOfRequests() : NEED_DATA;
    this.request = head;
    this.isPersistent = head.keepAlive;
    this.awaitsContinue = head.expectContinue;
    this.writer = writerAfter(this.writer, state.REQUEST);
    if (head.framing === "none") {
      this.reader = readerAfter(this.reader, state.HEAD_ALONE);
    } else {
      this.reader = readerAfter(this.reader, state.HEAD_WITH_BODY);
      this.decoder =
        head.framing === "chunked" ? new ChunkedDecoder(this.limits) : new LengthDecoder(head.framing.length);
    }
    return head;
  }

  /** The peer's end between requests is how a connection ends; inside a head it is a fault. */
  private endOfRequests(): Http1Event {
    if (this.buffer.length > 0 && !this.heads.onlyEmptyLines(this.buffer)) {
      throw cutOff("the peer closed in the middle of a request head");
    }
    this.reader = readerAfter(this.reader, state.PEER_END);
    this.buffer.clear();
    this.isPersistent = false;
    return CLOSED;
  }

  private nextBody(): Http1Event {
    const event = (this.decoder as BodyDecoder).decode(this.buffer);
    if (event === undefined) {
      if (this.hasEnded) throw cutOff("the peer closed in the middle of a request body");
      return NEED_DATA;
    }
    // A client that sends its body did not wait (RFC 9110 §10.1.1).
    this.awaitsContinue = false;
    if (event.type === "end") {
      this.reader = readerAfter(this.reader, state.BODY_END);
      this.decoder = undefined;
    }
    return event;
  }

  /** Nothing more is parsed, and nothing received is kept. */
  private fail(): void {
    this.reader = readerAfter(this.reader, state.READ_FAULT);
    this.writer = writerAfter(this.writer, state.FAULT_ANSWER_DUE);
    this.buffer.clear();
    this.decoder = undefined;
    this.awaitsContinue = false;
    this.isPersistent = false;
  }

  /**
   * Stop reading, as after a fault of the peer: what came of a head or body is dropped, `next()` is
   * `closed` from here on, and one answer (a 408, say) can still be sent. For deadlines.
   */
  giveUp(): void {
    if (this.reader === state.R_IDLE || this.reader === state.R_BODY) this.fail();
  }

  /** Has the peer sent its FIN? */
  get ended(): boolean {
    return this.hasEnded;
  }

  /** Will there be a cycle after this one? Settled by `sendHead`; before it, what the request wants. */
  get persistent(): boolean {
    return this.isPersistent;
  }

  /** Has the request been read to its end? True while there is none. */
  get requestComplete(): boolean {
    return this.reader !== state.R_BODY;
  }

  /** Bytes of the request body not read yet; `undefined` when its coding does not say. */
  get requestBodyRemaining(): number | undefined {
    return this.decoder === undefined ? 0 : this.decoder.remaining;
  }

  /** Bytes received and not yet turned into events. */
  get retainedBytes(): number {
    return this.buffer.length;
  }

  /** After `sendUpgrade`: the bytes behind the request, which belong to the new protocol. */
  takeRemaining(): Buffer {
    return this.buffer.length === 0 ? EMPTY : this.buffer.take(this.buffer.length);
  }

  // --- writing ---------------------------------------------------------------------------------

  /** Is the answer due in this cycle complete? */
  get responseComplete(): boolean {
    return this.writer === state.W_DONE;
  }

  /** Does the client wait for a `100 (Continue)`, as far as one can tell (RFC 9110 §10.1.1)? */
  get continueDue(): boolean {
    return this.awaitsContinue && this.buffer.length === 0;
  }

  /** Has a final head been sent in this cycle? */
  get responseStarted(): boolean {
    return this.writer === state.W_BODY || this.writer === state.W_DONE;
  }

  /** How the body behind the head sent last is coded. */
  get bodyMode(): BodyMode {
    return this.bodyEncoder.mode;
  }

  /** What goes behind each piece of data. */
  get dataSuffix(): "" | "\r\n" {
    return this.bodyEncoder.suffix;
  }

  /**
   * Could the connection go on, if the answer lets it? Not when the peer has ended and sent nothing
   * more. And not when it still waits for a 100: it may now leave the body out, and nobody could tell
   * the body from the next request.
   */
  get mayPersist(): boolean {
    return this.isPersistent && !(this.buffer.length === 0 && (this.hasEnded || this.awaitsContinue));
  }

  get http10(): boolean {
    return this.request !== undefined && this.request.version === "1.0";
  }

  get head(): boolean {
    return this.heads.isHead;
  }

  /**
   * An interim answer, 100 to 199 but not 101 (RFC 9110 §15.2). `""` for an HTTP/1.0 client, which
   * must not get one. Throws `UsageError`, also when the final head is out.
   */
  sendInformational(status: number, fields: Fields = NO_FIELDS): string {
    if (!isInformational(status) || status === 101) throw new UsageError(`${status} is no interim status`);
    if (this.writer !== state.W_HEAD) throw outOfTurn("an interim response", this.writer);
    if (this.http10) return "";
    const text = encodeInformational(status, fields);
    if (status === 100) this.awaitsContinue = false;
    return text;
  }

  /**
   * The final head, as latin-1 text including its empty line. `date` is the Date field's value, `""`
   * for none. Throws `UsageError` and changes nothing when the response cannot be sent like that.
   */
  sendHead(response: ResponseHead, date: string): string {
    if (this.writer !== state.W_HEAD) throw outOfTurn("a response head", this.writer);
    if (response.status < 200) throw new UsageError(`${response.status} is no final status`);
    const text = HEAD_ENCODER.encode(response, date, this);
    this.isPersistent = HEAD_ENCODER.persistent;
    this.bodyEncoder.begin(HEAD_ENCODER.mode, HEAD_ENCODER.length);
    this.writer = writerAfter(this.writer, state.HEAD_SENT);
    return text;
  }

  /**
   * Accept the upgrade the request asked for: the 101 head. Both sides are switched then, and
   * `takeRemaining` has what the peer sent already. Throws `UsageError`.
   */
  sendUpgrade(fields: Fields): string {
    if (this.writer !== state.W_HEAD) throw outOfTurn("an upgrade", this.writer);
    if (this.request?.upgrade !== true) throw new UsageError("the request asks for no upgrade");
    if (this.reader !== state.R_DONE) throw new UsageError("the request body must be read before an upgrade");
    const text = encodeUpgrade(fields);
    this.writer = writerAfter(this.writer, state.WRITE_UPGRADE);
    this.reader = readerAfter(this.reader, state.READ_UPGRADE);
    this.isPersistent = false;
    return text;
  }

  /**
   * Account for `byteLength` bytes of body, and return what to write before them; `dataSuffix` goes
   * behind. In mode `"none"` the data must not be written at all; empty data never.
   * Throws `UsageError` when the body gets longer than declared.
   */
  sendData(byteLength: number): string {
    if (this.writer !== state.W_BODY) throw outOfTurn("body data", this.writer);
    return this.bodyEncoder.prefix(byteLength);
  }

  /** `sendData` in one step: the pieces to write for `data` (text as UTF-8), in order. */
  encodeData(data: string | Uint8Array): readonly (string | Uint8Array)[] {
    const size = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    const prefix = this.sendData(size);
    if (size === 0 || this.bodyMode === "none") return [];
    return this.bodyMode === "chunked" ? [prefix, data, this.dataSuffix] : [data];
  }

  /**
   * The end of the body: what to write. Trailers need a chunked body. Throws `UsageError` when fewer
   * bytes were sent than declared; the response is then broken off, as by `abort`.
   */
  sendEnd(trailers: Fields = NO_FIELDS): string {
    if (this.writer !== state.W_BODY) throw outOfTurn("the end of a body", this.writer);
    let text: string;
    try {
      text = this.bodyEncoder.end(trailers);
    } catch (error) {
      this.abort();
      throw error;
    }
    this.writer = writerAfter(this.writer, state.BODY_SENT);
    return text;
  }

  /** The answer is broken off where it stands; only closing the connection tells the peer. */
  abort(): void {
    if (this.writer === state.W_SWITCHED) return;
    this.writer = writerAfter(this.writer, state.WRITE_FAULT);
    this.isPersistent = false;
  }

  // --- between cycles --------------------------------------------------------------------------

  /**
   * Both sides are done: begin the next cycle (true), or end here (false; `next()` is `closed` from
   * then on). Throws `UsageError` when the connection could go on but a side is not done.
   */
  startNextCycle(): boolean {
    if (!this.isPersistent) {
      this.endCycles();
      return false;
    }
    if (this.reader !== state.R_DONE || this.writer !== state.W_DONE) {
      throw new UsageError(
        `no new cycle yet: the response is ${writerStateName(this.writer)}, the request ${this.requestComplete ? "" : "not "}read to its end`,
      );
    }
    this.reader = readerAfter(this.reader, state.READ_NEXT_CYCLE);
    this.writer = writerAfter(this.writer, state.WRITE_NEXT_CYCLE);
    this.request = undefined;
    return true;
  }

  private endCycles(): void {
    if (this.reader === state.R_SWITCHED) return;
    this.reader = readerAfter(this.reader, state.LAST_CYCLE_OVER);
    this.buffer.clear();
    this.decoder = undefined;
  }
}

function cutOff(message: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section: "RFC 9112 §8", incomplete: true });
}

function outOfTurn(what: string, writer: number): UsageError {
  return new UsageError(`${what} cannot be sent now: the response is ${writerStateName(writer)}`);
}
