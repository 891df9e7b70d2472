// One stream: a request and its response. The core moves it; the shell reads its state, and keeps what belongs to the
// request in `owner`.

import type { Fields } from "../../http/fields.ts";
import type { StreamWindow } from "../flow/flow-control.ts";
import { DEFAULT_PRIORITY, type Priority } from "../flow/priority.ts";
import type { RequestHead } from "../messages/request-head.ts";
import type { BodyMode } from "../messages/response-head.ts";
import { ContentQueue } from "./content-queue.ts";
import * as state from "./state.ts";
import { readerAfter, writerAfter } from "./state.ts";

/** Bytes the application wants sent, and who wants to know when they have left. */
export interface Queued {
  readonly data: Uint8Array;
  /** How much of it has been handed out. */
  at: number;
  readonly onSent: (() => void) | undefined;
}

/** So much must leave before a stream that was stalled no longer is: single bytes are no progress. */
export const PROGRESS = 1024;

/** Of requests without a body, and so never filled. */
const NO_CONTENT = new ContentQueue();

export class Stream<Owner = unknown> {
  readonly id: number;
  /** The request; undefined when it was refused before its head was known. */
  readonly head: RequestHead | undefined;
  /** The request was HEAD: no content goes behind the response's head. */
  readonly isHead: boolean;
  /** The shell's. */
  owner: Owner | undefined = undefined;
  /** How the response's body is framed; settled by `sendHead`. */
  bodyMode: BodyMode = "none";
  /** Bytes of the response's body still to come, where its length was declared. */
  bodyLeft = 0;
  /** Trailers of the request, once its end has been seen. */
  trailers: Fields | undefined = undefined;
  /** How the response is scheduled (RFC 9218). */
  priority: Priority;

  // The request's side.
  reader: state.ReaderState = state.R_OPEN;
  readonly content: ContentQueue;
  /** Undefined when the request had no body. */
  readonly receiveWindow: StreamWindow | undefined;
  /** Bytes of content received. */
  received = 0;
  /** Nobody reads the content any more: it is dropped as it comes. */
  unwanted = false;
  /** What waits in `content` counts against the connection. Not once the stream is closed. */
  counted = true;

  // The response's side.
  writer: state.WriterState = state.W_HEAD;
  /** What the peer lets us send; negative when it has changed its mind (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** Made when something has to wait. */
  queue: Queued[] | undefined = undefined;
  queuedBytes = 0;
  /** `sendData` has said that there is no room. */
  wantsRoom = false;
  /** Trailers of the response that wait for the data before them. */
  endTrailers: Fields | undefined = undefined;
  /** Who wants to know when END_STREAM leaves. */
  onEndSent: (() => void) | undefined = undefined;
  /** Where the flags of the stream's last frame are, in which of the sender's buffers. */
  flagsAt = 0;
  flagsIn = -1;
  /** Since when the stream's window has been shut, in ms; Infinity: it is not. */
  stalledSince: number = Number.POSITIVE_INFINITY;
  /** What has left since. */
  #progress = 0;

  // The scheduler's: neighbours in their ring, and how much of its turn the stream has used.
  before: Stream<Owner> | undefined = undefined;
  behind: Stream<Owner> | undefined = undefined;
  /** The ring it is in, or -1. */
  ring = -1;
  burst = 0;

  constructor(
    id: number,
    head: RequestHead | undefined,
    isHead: boolean,
    receiveWindow: StreamWindow | undefined,
    sendWindow: number,
  ) {
    this.id = id;
    this.head = head;
    this.isHead = isHead;
    this.receiveWindow = receiveWindow;
    this.content = receiveWindow === undefined ? NO_CONTENT : new ContentQueue();
    this.sendWindow = sendWindow;
    this.priority = head === undefined ? DEFAULT_PRIORITY : head.priority;
  }

  /** Has the request come to its end, or to an end? */
  get requestComplete(): boolean {
    return this.reader !== state.R_OPEN;
  }

  /** Has a final head been sent? */
  get responseStarted(): boolean {
    return this.writer !== state.W_HEAD && this.writer !== state.W_RESET;
  }

  /** Has the response been handed out to its last byte? */
  get responseComplete(): boolean {
    return this.writer === state.W_ENDED;
  }

  /** Was the stream reset, by either side? */
  get isReset(): boolean {
    return this.writer === state.W_RESET;
  }

  /** Bytes of the request body not received yet; undefined when it did not say how many there are. */
  get requestBodyRemaining(): number | undefined {
    if (this.reader !== state.R_OPEN) return 0;
    const framing = this.head?.framing;
    return typeof framing === "object" ? framing.length - this.received : undefined;
  }

  /** @internal */
  endRequest(trailers: Fields): void {
    this.reader = readerAfter(this.reader, state.PEER_END);
    this.trailers = trailers;
  }

  /** @internal */
  write(step: state.WriterStep): void {
    this.writer = writerAfter(this.writer, step);
  }

  /** @internal A reset, by either side. */
  reset(): void {
    this.reader = readerAfter(this.reader, state.READ_RESET);
    this.write(state.WRITE_RESET);
    this.content.clear();
  }

  /** @internal `count` bytes have left. */
  progress(count: number): void {
    this.#progress += count;
    this.noteProgress();
  }

  /** @internal What has left, and what may leave, ends a stall when it is more than single bytes. */
  noteProgress(): void {
    if (this.#progress + this.sendWindow >= PROGRESS) this.stalledSince = Number.POSITIVE_INFINITY;
  }

  /** @internal There is something to send and no window. */
  stall(now: number): void {
    if (this.stalledSince !== Number.POSITIVE_INFINITY) return;
    this.stalledSince = now;
    this.#progress = 0;
  }
}
