// The payload of DATA (RFC 9113 §6.1), given to its stream piece by piece as it comes.

import { type Fields, NO_FIELDS } from "../../http/fields.ts";
import {
  connectionFault,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  STREAM_CLOSED,
} from "../errors.ts";
import type { StreamWindow } from "../flow/flow-control.ts";
import type { Session } from "../session.ts";
import type { Stream } from "../streams/stream.ts";
import * as frame from "./frame.ts";
import type { FrameReader } from "./frame-reader.ts";

export class DataReader<Owner> {
  /** Is a frame being read? */
  reading = false;
  readonly #session: Session<Owner>;
  readonly #frames: FrameReader;
  /** Whose data it is; undefined: they are dropped. */
  #stream: Stream<Owner> | undefined = undefined;
  #left = 0;
  #padLeft = 0;
  #ends = false;

  constructor(session: Session<Owner>, frames: FrameReader) {
    this.#session = session;
    this.#frames = frames;
  }

  /** Nothing more is read. */
  close(): void {
    this.#stream = undefined;
  }

  /** Starts with the DATA frame just seen. Throws a `ConnectionFault`. */
  start(): void {
    const frames = this.#frames;
    const session = this.#session;
    const { id, length } = frames;
    if (id === 0) throw connectionFault(PROTOCOL_ERROR, "DATA on stream 0", "RFC 9113 §6.1");
    const stream = session.streams.get(id);
    if (stream === undefined && session.streams.isIdle(id)) {
      throw connectionFault(PROTOCOL_ERROR, "DATA on an idle stream", "RFC 9113 §5.1");
    }
    const padding = this.#padding(length);
    session.window.available -= length;
    if (session.window.available < 0) {
      throw connectionFault(FLOW_CONTROL_ERROR, "more data than the connection's window", "RFC 9113 §6.9.1");
    }
    this.reading = true;
    this.#left = length - padding;
    this.#padLeft = padding === 0 ? 0 : padding - 1;
    this.#ends = (frames.flags & frame.END_STREAM) !== 0;
    this.#stream = this.#acceptsData(id, stream, length) ? stream : undefined;
    if (this.#left === 0 && !this.#ends) session.spendOverhead(1);
  }

  /** Consumes the length of the padding. What the padding takes, its length included; 0: there is none. */
  #padding(length: number): number {
    if ((this.#frames.flags & frame.PADDED) === 0) return 0;
    if (length === 0) throw connectionFault(FRAME_SIZE_ERROR, "a padded frame is empty", "RFC 9113 §6.1");
    const { buffer } = this.#frames;
    const padding = (buffer.bytes[buffer.start] as number) + 1;
    if (padding > length)
      throw connectionFault(PROTOCOL_ERROR, "padding is longer than its frame", "RFC 9113 §6.1");
    this.#frames.consume(1);
    return padding;
  }

  #acceptsData(id: number, stream: Stream<Owner> | undefined, length: number): boolean {
    if (stream === undefined) {
      this.#session.frameOnClosed(id);
      return false;
    }
    const session = this.#session;
    if (stream.requestComplete) {
      session.streamError(stream, STREAM_CLOSED, "DATA follows the end of the request");
      return false;
    }
    const window = stream.receiveWindow as StreamWindow;
    window.available -= length;
    if (window.available < 0) {
      session.streamError(stream, FLOW_CONTROL_ERROR, "more data than the stream's window");
      return false;
    }
    stream.received += this.#left;
    if (!this.agreesWithLength(stream, this.#ends)) return false;
    // Of no use to anyone, and so free again at once.
    if (length > this.#left) session.giveBackStream(stream, length - this.#left);
    return true;
  }

  /** RFC 9113 §8.1.1: content-length says neither more nor less. */
  agreesWithLength(stream: Stream<Owner>, ends: boolean): boolean {
    const framing = stream.head?.framing;
    if (typeof framing !== "object") return true;
    if (stream.received < framing.length ? !ends : stream.received === framing.length) return true;
    this.#session.streamError(stream, PROTOCOL_ERROR, "content-length does not agree with the data");
    return false;
  }

  /** What there is of the payload of DATA. False: nothing. */
  piece(): boolean {
    const { buffer } = this.#frames;
    if (this.#left > 0) {
      const count = Math.min(buffer.length, this.#left);
      if (count === 0) return false;
      this.#left -= count;
      this.#takeContent(buffer.bytes, buffer.start, buffer.start + count);
      buffer.consumeTo(buffer.start + count);
      return true;
    }
    const padding = Math.min(buffer.length, this.#padLeft);
    this.#padLeft -= padding;
    if (padding > 0) buffer.consumeTo(buffer.start + padding);
    else if (buffer.length === 0) buffer.clear();
    if (this.#padLeft > 0) return false;
    this.#end();
    return true;
  }

  #takeContent(bytes: Buffer, start: number, end: number): void {
    const session = this.#session;
    const stream = this.#stream;
    // The stream may have been reset since its frame began.
    if (stream === undefined || stream.isReset || !stream.counted) return;
    if (stream.unwanted) {
      session.giveBackStream(stream, end - start);
      return;
    }
    stream.content.push(bytes, start, end);
    session.window.unread += end - start;
    session.tell({ type: "data", stream });
  }

  #end(): void {
    const stream = this.#stream;
    this.reading = false;
    this.#stream = undefined;
    if (stream !== undefined && this.#ends && !stream.isReset) this.endRequest(stream, NO_FIELDS);
    this.#session.giveBackConnection();
  }

  /** The request is complete. */
  endRequest(stream: Stream<Owner>, trailers: Fields): void {
    // Reset with NO_ERROR behind a complete response: nobody is interested.
    if (!stream.counted && stream.responseComplete) return;
    stream.endRequest(trailers);
    this.#session.requestEnded(stream);
    this.#session.tell({ type: "end", stream, trailers });
  }
}
