// Everything on its way to the peer. Control frames and heads are written at once, in order, into one buffer; small
// bodies too, while nothing waits. Other data wait in their streams until `output` is asked, and leave as the windows
// and the scheduler say. Large data are handed out where they lie.

import { Buffer } from "node:buffer";
import { UsageError } from "../errors.ts";
import type { Fields } from "../http/fields.ts";
import { DEFAULT_WINDOW, MAX_WINDOW } from "./flow/flow-control.ts";
import { Scheduler } from "./flow/scheduler.ts";
import { Stalls } from "./flow/stalls.ts";
import * as frame from "./frames/frame.ts";
import { writeFrameHeader } from "./frames/frame.ts";
import { FrameWriter } from "./frames/frame-writer.ts";
import { PeerSettings } from "./frames/settings.ts";
import type { Http2Limits } from "./limits.ts";
import { type ResponseHead, ResponseHeadEncoder } from "./messages/response-head.ts";
import * as state from "./streams/state.ts";
import { writerStateName } from "./streams/state.ts";
import type { Queued, Stream } from "./streams/stream.ts";

/** A body this small is copied behind its head. */
const MAX_DIRECT = 4096;
/** Unless so much is waiting to be written: then it takes its turn. */
const MAX_GATHERED = 64 * 1024;
/** Pieces this small are copied into the buffer, between larger ones. */
const MAX_COPIED = 1024;
/** Bytes that a piece costs while it waits, besides its own: a peer can make a server say many tiny things. */
const PIECE_COST = 128;
/** Longer frames than this would make others wait, whatever the peer allows. */
const MAX_DATA_FRAME = 64 * 1024;
/**
 * While less than this waits on the whole connection, a stream may queue what its windows let out at once: it waits for
 * nobody, and larger writes make a download up to a quarter cheaper.
 */
const MAX_AHEAD = 256 * 1024;
/** A frame is not made smaller than this just because the caller's budget is used up. */
const MIN_FRAME = 4096;

/** What to write, in order, and who wants to know when that, and everything before it, has been written. */
export interface Output {
  readonly pieces: readonly Uint8Array[];
  readonly onSent: readonly (() => void)[];
}

/** How text becomes bytes. */
export type TextEncoding = "utf8" | "latin1";

const NOTHING: Output = Object.freeze({ pieces: [], onSent: [] });

/** Hears what becomes of streams while their data leave. */
export interface SenderOwner<Owner> {
  /** END_STREAM has been written. */
  responseSent(stream: Stream<Owner>): void;
  /** The stream has room again. */
  room(stream: Stream<Owner>): void;
}

export class Sender<Owner> {
  readonly frames: FrameWriter = new FrameWriter();
  readonly peer: PeerSettings = new PeerSettings();
  readonly scheduler: Scheduler<Owner> = new Scheduler<Owner>();
  readonly stalls: Stalls<Owner> = new Stalls<Owner>();
  /** What the peer lets us send on all streams together. */
  window: number = DEFAULT_WINDOW;
  /** Bytes of data that wait in their streams. */
  queuedBytes = 0;
  /** DATA frames written since somebody asked last. */
  dataFrames = 0;
  readonly #owner: SenderOwner<Owner>;
  readonly #limits: Http2Limits;
  readonly #heads: ResponseHeadEncoder = new ResponseHeadEncoder();
  /** Large pieces, and where in the buffer they belong. */
  #cuts: { at: number; data: Uint8Array }[] = [];
  #onSent: (() => void)[] = [];
  /** Which buffer this is: flags of a frame in it can still be changed. */
  #buffer = 0;

  constructor(owner: SenderOwner<Owner>, limits: Http2Limits) {
    this.#owner = owner;
    this.#limits = limits;
  }

  /** Bytes written and not handed out. */
  get bufferedBytes(): number {
    return this.frames.sink.length;
  }

  /** The peer's settings have changed: acknowledge them (RFC 9113 §6.5.3). */
  acknowledgeSettings(): void {
    const { smallestTableSize, headerTableSize } = this.peer;
    if (smallestTableSize < headerTableSize) this.#heads.setMaxTableSize(smallestTableSize);
    this.#heads.setMaxTableSize(headerTableSize);
    this.frames.settingsAck();
  }

  // --- messages --------------------------------------------------------------------------------

  /** An interim head. Throws a `UsageError`. */
  informational(stream: Stream<Owner>, status: number, fields: Fields): void {
    if (stream.writer !== state.W_HEAD) throw outOfTurn("an interim response", stream);
    const start = this.frames.startBlock(stream.id, 0);
    try {
      this.#heads.encodeInformational(this.frames.sink, status, fields);
    } catch (error) {
      this.frames.sink.length = start;
      throw error;
    }
    this.frames.finishBlock(start, this.peer.maxFrameSize);
  }

  /** The final head. Throws a `UsageError` and changes nothing when it cannot be sent like that. */
  head(stream: Stream<Owner>, response: ResponseHead, date: string): void {
    if (stream.writer !== state.W_HEAD) throw outOfTurn("a response head", stream);
    const heads = this.#heads;
    const start = this.frames.startBlock(stream.id, 0);
    try {
      heads.encode(this.frames.sink, response, date, stream.isHead, stream.head?.protocol !== undefined);
    } catch (error) {
      this.frames.sink.length = start;
      throw error;
    }
    this.frames.finishBlock(start, this.peer.maxFrameSize);
    stream.flagsAt = start + 4;
    stream.flagsIn = this.#buffer;
    stream.bodyMode = heads.mode;
    stream.bodyLeft = heads.length;
    stream.write(state.HEAD_SENT);
  }

  /** A piece of the body. False: no more before `room`. Throws a `UsageError` when the body is longer than declared. */
  data(
    stream: Stream<Owner>,
    data: string | Uint8Array,
    onSent: (() => void) | undefined,
    encoding: TextEncoding,
  ): boolean {
    if (stream.writer !== state.W_BODY) throw outOfTurn("body data", stream);
    const size = typeof data === "string" ? Buffer.byteLength(data, encoding) : data.length;
    if (stream.bodyMode === "length") {
      if (size > stream.bodyLeft) throw new UsageError(`the body is longer than its content-length`);
      stream.bodyLeft -= size;
    }
    if (size === 0 || stream.bodyMode === "none") {
      onSent?.();
      return true;
    }
    if (onSent === undefined && this.#mayWriteDirectly(stream, size)) {
      this.#writeDirectly(stream, data, size, encoding);
      return true;
    }
    this.#enqueue(stream, typeof data === "string" ? Buffer.from(data, encoding) : data, onSent);
    stream.wantsRoom = !this.#hasRoom(stream);
    return !stream.wantsRoom;
  }

  #hasRoom(stream: Stream<Owner>): boolean {
    const { queuedBytes, sendWindow } = stream;
    const { maxQueued } = this.#limits;
    if (held(stream) < maxQueued) return true;
    // Many tiny pieces are bounded all the same.
    if (held(stream) - queuedBytes >= maxQueued) return false;
    return this.queuedBytes < MAX_AHEAD && queuedBytes < sendWindow && queuedBytes < this.window;
  }

  #mayWriteDirectly(stream: Stream<Owner>, size: number): boolean {
    return (
      size <= MAX_DIRECT &&
      size <= stream.sendWindow &&
      size <= this.window &&
      stream.queuedBytes === 0 &&
      this.scheduler.size === 0 &&
      this.frames.sink.length < MAX_GATHERED
    );
  }

  #writeDirectly(
    stream: Stream<Owner>,
    data: string | Uint8Array,
    size: number,
    encoding: TextEncoding,
  ): void {
    const out = this.frames.sink;
    stream.flagsAt = out.length + 4;
    stream.flagsIn = this.#buffer;
    writeFrameHeader(out, size, frame.DATA, 0, stream.id);
    if (typeof data === "string") out.length += out.bytes.write(data, out.length, encoding);
    else out.append(data);
    this.#sent(stream, size);
  }

  #enqueue(stream: Stream<Owner>, data: Uint8Array, onSent: (() => void) | undefined): void {
    stream.queue ??= [];
    stream.queue.push({ data, at: 0, onSent });
    stream.queuedBytes += data.length;
    this.queuedBytes += data.length;
    this.stalls.add(stream);
    if (stream.sendWindow > 0) this.scheduler.add(stream);
  }

  /**
   * The end of the body. Throws a `UsageError` when fewer bytes were sent than declared, or when these can be no
   * trailers.
   */
  end(stream: Stream<Owner>, trailers: Fields, onSent: (() => void) | undefined): void {
    if (stream.writer !== state.W_BODY) throw outOfTurn("the end of a body", stream);
    if (stream.bodyMode === "length" && stream.bodyLeft > 0) {
      throw new UsageError(`the body is ${stream.bodyLeft} bytes shorter than its content-length`);
    }
    const hasTrailers = stream.bodyMode !== "none" && trailers.length > 0;
    const checked = hasTrailers ? this.#heads.checkTrailers(trailers) : undefined;
    stream.write(state.END_QUEUED);
    stream.endTrailers = checked;
    stream.onEndSent = onSent;
    if (stream.queuedBytes === 0) this.#end(stream);
  }

  /** All data are written: END_STREAM, on the last frame if it has not left yet. */
  #end(stream: Stream<Owner>): void {
    const out = this.frames.sink;
    if (stream.endTrailers !== undefined) {
      const start = this.frames.startBlock(stream.id, frame.END_STREAM);
      this.#heads.encodeTrailers(out, stream.endTrailers);
      this.frames.finishBlock(start, this.peer.maxFrameSize);
      stream.endTrailers = undefined;
    } else if (stream.flagsIn === this.#buffer) {
      out.bytes[stream.flagsAt] = (out.bytes[stream.flagsAt] as number) | frame.END_STREAM;
    } else {
      writeFrameHeader(out, 0, frame.DATA, frame.END_STREAM, stream.id);
    }
    stream.write(state.END_SENT);
    this.#tellEndSent(stream);
    this.#owner.responseSent(stream);
  }

  #tellEndSent(stream: Stream<Owner>): void {
    const { onEndSent } = stream;
    if (onEndSent === undefined) return;
    stream.onEndSent = undefined;
    this.#onSent.push(onEndSent);
  }

  // --- flow control ----------------------------------------------------------------------------

  /** The peer opens the connection's window; false: further than windows go. */
  openWindow(increment: number): boolean {
    this.window += increment;
    this.stalls.noteProgress(this.window);
    return this.window <= MAX_WINDOW;
  }

  /** The stream's window has moved. */
  windowMoved(stream: Stream<Owner>): void {
    if (stream.queuedBytes === 0) return;
    stream.noteProgress();
    if (stream.sendWindow > 0) this.scheduler.add(stream);
    else this.scheduler.remove(stream);
  }

  /** Nothing more of the stream is sent. */
  drop(stream: Stream<Owner>): void {
    this.queuedBytes -= stream.queuedBytes;
    this.scheduler.remove(stream);
    this.stalls.remove(stream);
    stream.queuedBytes = 0;
    // Some of it may be on its way: whoever lent the bytes gets them back behind what was handed out before.
    for (const { onSent } of stream.queue ?? []) if (onSent !== undefined) this.#onSent.push(onSent);
    stream.queue = undefined;
    this.#tellEndSent(stream);
  }

  #sent(stream: Stream<Owner>, bytes: number): void {
    stream.sendWindow -= bytes;
    this.window -= bytes;
    this.dataFrames++;
  }

  // --- output ----------------------------------------------------------------------------------

  /** What is to be written now: everything but data, and about `maxBytes` of data. */
  output(maxBytes: number, now: number): Output {
    let left = maxBytes;
    while (left > 0 && this.window > 0) {
      const stream = this.scheduler.next();
      if (stream === undefined) break;
      left -= this.#dataFrame(stream, Math.max(left, MIN_FRAME));
    }
    if (this.queuedBytes > 0) this.stalls.notice(this.window, now);
    const onSent = this.#onSent;
    if (onSent.length > 0) this.#onSent = [];
    else if (this.frames.sink.length === 0) return NOTHING;
    this.frames.controls = 0;
    this.#buffer++;
    return { pieces: this.#takePieces(), onSent };
  }

  /** One frame out of what the stream has queued. Returns its bytes of data. */
  #dataFrame(stream: Stream<Owner>, most: number): number {
    const size = Math.min(
      stream.queuedBytes,
      stream.sendWindow,
      this.window,
      this.peer.maxFrameSize,
      MAX_DATA_FRAME,
      most,
    );
    stream.flagsAt = this.frames.sink.length + 4;
    stream.flagsIn = this.#buffer;
    writeFrameHeader(this.frames.sink, size, frame.DATA, 0, stream.id, 0);
    this.#takeQueued(stream, size);
    stream.queuedBytes -= size;
    this.queuedBytes -= size;
    this.#sent(stream, size);
    stream.progress(size);
    this.scheduler.sent(stream, size);
    if (stream.queuedBytes === 0 || stream.sendWindow <= 0) this.scheduler.remove(stream);
    this.stalls.progress(size, this.window);
    if (stream.queuedBytes === 0) {
      this.stalls.remove(stream);
      if (stream.writer === state.W_ENDING) this.#end(stream);
    }
    if (stream.wantsRoom && held(stream) <= this.#limits.maxQueued >> 1) {
      stream.wantsRoom = false;
      if (stream.writer === state.W_BODY) this.#owner.room(stream);
    }
    return size;
  }

  #takeQueued(stream: Stream<Owner>, size: number): void {
    const queue = stream.queue as Queued[];
    let done = 0;
    for (let left = size; left > 0; ) {
      const item = queue[done] as Queued;
      const count = Math.min(left, item.data.length - item.at);
      const piece = item.data.subarray(item.at, item.at + count);
      if (count <= MAX_COPIED) this.frames.sink.append(piece);
      else this.#cuts.push({ at: this.frames.sink.length, data: piece });
      item.at += count;
      left -= count;
      if (item.at < item.data.length) break;
      done++;
      if (item.onSent !== undefined) this.#onSent.push(item.onSent);
    }
    if (done > 0) queue.splice(0, done);
  }

  #takePieces(): Uint8Array[] {
    if (this.frames.sink.length === 0) return [];
    const bytes = this.frames.sink.take();
    if (this.#cuts.length === 0) return [bytes];
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (const { at, data } of this.#cuts) {
      if (at > from) pieces.push(bytes.subarray(from, at));
      pieces.push(data);
      from = at;
    }
    if (from < bytes.length) pieces.push(bytes.subarray(from));
    this.#cuts = [];
    return pieces;
  }
}

/** What the stream's data cost while they wait. */
function held<Owner>({ queue, queuedBytes }: Stream<Owner>): number {
  return queue === undefined ? queuedBytes : queuedBytes + queue.length * PIECE_COST;
}

function outOfTurn<Owner>(what: string, stream: Stream<Owner>): UsageError {
  return new UsageError(`${what} cannot be sent now: the response is ${writerStateName(stream.writer)}`);
}
