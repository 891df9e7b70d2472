// From bytes to events: frames walked where they lie, messages put together (RFC 9113 §6.1, §6.2, §6.10, §8.1).

import { ProtocolError } from "../errors.ts";
import {
  calmDown,
  connectionFault,
  ENHANCE_YOUR_CALM,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./errors.ts";
import { ByteSink } from "./frames/byte-sink.ts";
import { ControlFrames } from "./frames/control-frames.ts";
import { DataReader } from "./frames/data-reader.ts";
import * as frame from "./frames/frame.ts";
import { readUint31 } from "./frames/frame.ts";
import { FrameReader } from "./frames/frame-reader.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { HARD_FACTOR } from "./limits.ts";
import { HeadBlock } from "./messages/head-block.ts";
import { HeadCache } from "./messages/head-cache.ts";
import { RequestHead } from "./messages/request-head.ts";
import type { Session } from "./session.ts";
import type { Stream } from "./streams/stream.ts";

/** A header block that goes on in CONTINUATION frames. */
interface OpenBlock {
  readonly id: number;
  readonly ended: boolean;
  readonly dependsOnItself: boolean;
  readonly bytes: ByteSink;
  since: number;
  continuations: number;
}

const NOT_WAITING = -1;

export class Receiver<Owner> {
  readonly frames: FrameReader = new FrameReader();
  readonly #session: Session<Owner>;
  readonly #control: ControlFrames<Owner>;
  readonly #decoder: HpackDecoder = new HpackDecoder();
  readonly #block: HeadBlock;
  readonly #cache: HeadCache = new HeadCache();
  #open: OpenBlock | undefined = undefined;
  readonly #data: DataReader<Owner>;
  /** Since when a frame, or the preface, has been incomplete, in ms. */
  #partialSince: number;

  constructor(session: Session<Owner>, now: number) {
    this.#session = session;
    this.#control = new ControlFrames<Owner>(session);
    this.#data = new DataReader<Owner>(session, this.frames);
    this.#block = new HeadBlock(session.limits, session.extendedConnect);
    this.#partialSince = now;
  }

  /** Since when something has been incomplete that the peer must not take its time with, in ms; -1: nothing is. */
  get waitingSince(): number {
    return this.#open === undefined ? this.#partialSince : this.#open.since;
  }

  /** Nothing could come for a while: waiting starts anew. */
  resumed(now: number): void {
    if (this.#open !== undefined) this.#open.since = now;
    if (this.#partialSince !== NOT_WAITING) this.#partialSince = now;
  }

  /** Bytes held of what is not complete. */
  get retainedBytes(): number {
    return this.frames.buffer.length + (this.#open?.bytes.length ?? 0);
  }

  /** Lets go of what is not complete: nothing more is read. */
  close(): void {
    this.frames.buffer.clear();
    this.#open = undefined;
    this.#data.close();
  }

  /** Takes one frame, or a piece of DATA. False: there is none. Throws a `ConnectionFault`. */
  step(): boolean {
    if (this.#data.reading) return this.#data.piece();
    const { frames } = this;
    if (!frames.next()) {
      if (!frames.partial) this.#partialSince = NOT_WAITING;
      else if (this.#partialSince === NOT_WAITING) this.#partialSince = this.#session.now;
      return false;
    }
    this.#partialSince = NOT_WAITING;
    const { type } = frames;
    if (this.#open !== undefined && (type !== frame.CONTINUATION || frames.id !== this.#open.id)) {
      throw connectionFault(PROTOCOL_ERROR, "a header block is interrupted", "RFC 9113 §6.10");
    }
    if (type === frame.DATA) this.#data.start();
    else this.#takeFrame(type);
    this.#checkWaiting();
    return true;
  }

  #takeFrame(type: number): void {
    const { frames } = this;
    const { bytes, start } = frames.buffer;
    const end = start + frames.length;
    // The buffer lets go of its bytes when nothing is left; `bytes` holds them for this frame.
    frames.consume(frames.length);
    if (type === frame.HEADERS) this.#headers(bytes, start, end);
    else if (type === frame.CONTINUATION) this.#continuation(bytes, start, end);
    else this.#control.take(type, frames.flags, frames.id, { bytes, start, end });
  }

  /** The peer makes us answer and does not read the answers (CVE-2019-9512, CVE-2019-9515). */
  #checkWaiting(): void {
    const { sender, limits } = this.#session;
    if (sender.frames.controls > limits.maxWaitingControls) {
      throw calmDown(
        "too many control frames wait to be written",
        "maxWaitingControls",
        limits.maxWaitingControls,
      );
    }
  }

  // --- HEADERS and CONTINUATION ----------------------------------------------------------------

  #headers(bytes: Buffer, payloadStart: number, payloadEnd: number): void {
    const { flags, id } = this.frames;
    if ((id & 1) === 0) throw connectionFault(PROTOCOL_ERROR, `HEADERS on stream ${id}`, "RFC 9113 §5.1.1");
    let start = payloadStart;
    let end = payloadEnd;
    let dependsOnItself = false;
    if ((flags & frame.PADDED) !== 0) {
      if (start === end) throw tooShort();
      end -= bytes[start++] as number;
    }
    if ((flags & frame.WITH_PRIORITY) !== 0) {
      if (payloadEnd - start < 5) throw tooShort();
      dependsOnItself = readUint31(bytes, start) === id;
      start += 5;
    }
    if (end < start)
      throw connectionFault(PROTOCOL_ERROR, "padding is longer than its frame", "RFC 9113 §6.2");
    const ended = (flags & frame.END_STREAM) !== 0;
    if ((flags & frame.END_HEADERS) !== 0) {
      this.#message(id, ended, dependsOnItself, bytes, start, end);
      return;
    }
    const sink = new ByteSink();
    sink.append(bytes.subarray(start, end));
    this.#open = { id, ended, dependsOnItself, bytes: sink, since: this.#session.now, continuations: 0 };
  }

  #continuation(bytes: Buffer, start: number, end: number): void {
    const block = this.#open;
    if (block === undefined) {
      throw connectionFault(PROTOCOL_ERROR, "CONTINUATION continues nothing", "RFC 9113 §6.10");
    }
    const { maxContinuations, maxHead } = this.#session.limits;
    // CVE-2024-27316: counted as they come, as the end may never.
    if (++block.continuations > maxContinuations) {
      throw calmDown("too many CONTINUATION frames", "maxContinuations", maxContinuations);
    }
    if (block.bytes.length + (end - start) > maxHead * HARD_FACTOR) {
      throw calmDown(`a header block is longer than ${maxHead * HARD_FACTOR} bytes`, "maxHead", maxHead);
    }
    block.bytes.append(bytes.subarray(start, end));
    if ((this.frames.flags & frame.END_HEADERS) === 0) return;
    this.#open = undefined;
    this.#message(block.id, block.ended, block.dependsOnItself, block.bytes.bytes, 0, block.bytes.length);
  }

  /** A header block is complete: the head of a request, or trailers. */
  #message(
    id: number,
    ended: boolean,
    dependsOnItself: boolean,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const { streams } = this.#session;
    if (id > streams.lastId) {
      streams.use(id);
      this.#request(id, ended, dependsOnItself, this.#head(ended, bytes, start, end));
      return;
    }
    const stream = streams.get(id);
    if (stream === undefined && streams.closed(id) === "skipped") {
      throw connectionFault(PROTOCOL_ERROR, "a stream id is lower than one before", "RFC 9113 §5.1.1");
    }
    // Decoded in any case, for the table's sake (RFC 9113 §4.3).
    this.#decode(true, bytes, start, end);
    if (stream === undefined) this.#session.frameOnClosed(id);
    else this.#trailers(stream, ended, dependsOnItself);
  }

  #trailers(stream: Stream<Owner>, ended: boolean, dependsOnItself: boolean): void {
    const session = this.#session;
    if (stream.requestComplete) {
      session.streamError(stream, STREAM_CLOSED, "HEADERS follows the end of the request");
    } else if (!ended || dependsOnItself) {
      session.streamError(stream, PROTOCOL_ERROR, "trailers do not end the stream");
    } else if (stream.head?.protocol !== undefined) {
      session.streamError(stream, PROTOCOL_ERROR, "HEADERS in a tunnel (RFC 9113 §8.5)");
    } else {
      const trailers = this.#block.trailers();
      if (trailers instanceof ProtocolError) {
        session.streamError(
          stream,
          trailers.status === undefined ? PROTOCOL_ERROR : ENHANCE_YOUR_CALM,
          trailers.message,
        );
      } else if (this.#data.agreesWithLength(stream, true)) {
        this.#data.endRequest(stream, trailers);
      }
    }
  }

  #request(id: number, ended: boolean, dependsOnItself: boolean, head: RequestHead | ProtocolError): void {
    const session = this.#session;
    if (id > session.acceptsUpTo) {
      session.spendOverhead(1); // RFC 9113 §6.8: the peer knows that it will not be answered.
      return;
    }
    if (dependsOnItself) {
      session.resetUnknown(id, PROTOCOL_ERROR);
    } else if (session.streams.size >= session.limits.maxStreams) {
      session.resetUnknown(id, REFUSED_STREAM);
    } else if (head instanceof RequestHead) {
      const stream = session.open(id, head, head.method === "HEAD", ended);
      const early = this.#control.takeEarlyPriority(id);
      if (early !== undefined) stream.priority = early;
      session.tell({ type: "request", stream, head });
    } else if (head.status === undefined) {
      session.resetUnknown(id, PROTOCOL_ERROR);
    } else {
      const stream = session.open(id, undefined, this.#block.isHead, ended);
      session.tell({ type: "refused", stream, error: head });
    }
  }

  #head(ended: boolean, bytes: Buffer, start: number, end: number): RequestHead | ProtocolError {
    const { table } = this.#decoder;
    const { generation } = table;
    const known = this.#cache.find(bytes, start, end, ended, generation);
    if (known !== undefined) return known;
    this.#decode(false, bytes, start, end);
    const head = this.#block.head(ended);
    if (head instanceof RequestHead && table.generation === generation) {
      this.#cache.keep(bytes, start, end, ended, generation, head);
    }
    return head;
  }

  #decode(isTrailer: boolean, bytes: Buffer, start: number, end: number): void {
    this.#block.begin(isTrailer);
    this.#decoder.decode(bytes, start, end, this.#block);
  }
}

function tooShort(): Error {
  return connectionFault(FRAME_SIZE_ERROR, "HEADERS is too short for its flags", "RFC 9113 §6.2");
}
