// The server's side of one HTTP/2 connection, without the connection: bytes in, events out; answers in, bytes out
// (RFC 9113, RFC 7541, RFC 8441, RFC 9218). It calls nobody, knows no socket, and time is an argument.
//
// Reading: `receive` bytes, ask `next()` until it says `need-data` or `closed`. Bodies are read from their streams, by
// `read`, when the application wants them: that is what gives the peer room to send more.
//
// Writing: `sendHead`, `sendData`, `sendEnd`, as in HTTP/1, but of a stream. Nothing is returned to be written; `output`
// gives what all streams have to say, as the windows and priorities allow. Ask it once a turn, and when the socket has
// drained; then ask `next()` again, as streams may have got room.

import { Buffer } from "node:buffer";
import { type Fields, NO_FIELDS } from "../http/fields.ts";
import {
  ConnectionFault,
  calmDown,
  connectionFault,
  INTERNAL_ERROR,
  NO_ERROR,
  SETTINGS_TIMEOUT,
} from "./errors.ts";
import { CLOSED, type Http2Event, NEED_DATA } from "./events.ts";
import { MAX_WINDOW } from "./flow/flow-control.ts";
import { writeSettings } from "./frames/settings.ts";
import { DEFAULT_LIMITS, type Http2Limits } from "./limits.ts";
import type { ResponseHead } from "./messages/response-head.ts";
import { Receiver } from "./receiver.ts";
import type { Output, TextEncoding } from "./sender.ts";
import { Session } from "./session.ts";
import type { Stream } from "./streams/stream.ts";

export interface Http2Options {
  readonly limits?: Http2Limits | undefined;
  /** Take extended CONNECT (RFC 8441), so that WebSockets can be opened. Default true. */
  readonly extendedConnect?: boolean | undefined;
}

/** The PING that follows the first GOAWAY of a drain. */
const DRAIN_PING: Buffer = Buffer.from("draining", "latin1");

export class Http2Connection<Owner = unknown> {
  readonly #session: Session<Owner>;
  readonly #receiver: Receiver<Owner>;
  /** Since when our SETTINGS have waited to be acknowledged, in ms. */
  #settingsSince: number;
  #closed = false;
  #draining = false;

  /** @param now the present, in ms; any clock that does not go backwards. */
  constructor(now: number, options: Http2Options = {}) {
    const limits = options.limits ?? DEFAULT_LIMITS;
    const extendedConnect = options.extendedConnect ?? true;
    this.#session = new Session<Owner>(limits, extendedConnect, now);
    this.#receiver = new Receiver<Owner>(this.#session, now);
    this.#settingsSince = now;
    writeSettings(this.#session.sender.frames.control(), limits, extendedConnect);
    this.#session.giveBackConnection();
  }

  // --- reading ---------------------------------------------------------------------------------

  /** Take bytes from the peer, the preface included. The buffer belongs to the core from here on. */
  receive(bytes: Buffer, now: number): void {
    this.#session.now = now;
    if (bytes.length > 0 && !this.#closed) this.#receiver.frames.buffer.append(bytes);
  }

  /** The peer will send no more (FIN): `next()` ends with `closed`. What is owed can still be sent. */
  receiveEnd(): void {
    this.#close();
  }

  /** The next event. Faults of the peer are events; nothing is thrown. */
  next(): Http2Event<Owner> {
    for (;;) {
      const event = this.#session.nextEvent();
      if (event !== undefined) return event;
      if (this.#closed) return CLOSED;
      try {
        if (!this.#receiver.step()) return NEED_DATA;
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
        this.#fail(error);
      }
    }
  }

  /** Everything of the peer's is dropped; the GOAWAY, and what was written before it, can still leave. */
  #fail({ code, error }: ConnectionFault): void {
    const { sender, streams } = this.#session;
    sender.frames.goaway(Math.min(streams.lastId, this.#session.acceptsUpTo), code, error.message);
    for (const stream of [...streams]) this.#session.close(stream, false);
    this.#session.tell({ type: "failed", code, error });
    this.#close();
  }

  #close(): void {
    this.#closed = true;
    this.#receiver.close();
  }

  /**
   * The next piece of a request's body, which makes room for more; `null` behind the last; `undefined` when there is
   * none yet, or the stream was reset.
   */
  read(stream: Stream<Owner>): Buffer | null | undefined {
    const piece = stream.content.shift();
    if (piece === undefined) return stream.requestComplete && !stream.isReset ? null : undefined;
    if (stream.counted) {
      this.#session.giveBackStream(stream, piece.length);
      this.#session.contentGone(piece.length);
    }
    return piece;
  }

  /**
   * Nobody will read the rest of this request. What has come is dropped, and what comes. Once the response is complete
   * the peer is told to stop sending (RST_STREAM with NO_ERROR, RFC 9113 §8.1).
   */
  stopReading(stream: Stream<Owner>): void {
    if (stream.unwanted || stream.isReset) return;
    stream.unwanted = true;
    const dropped = stream.content.length;
    stream.content.clear();
    if (!stream.counted) return;
    if (dropped > 0) {
      this.#session.giveBackStream(stream, dropped);
      this.#session.contentGone(dropped);
    }
    if (stream.responseComplete) this.#session.resetNoError(stream);
  }

  // --- writing ---------------------------------------------------------------------------------

  /** An interim response, 100 to 199 but not 101 (RFC 9113 §8.1). Throws `UsageError`, also behind the final head. */
  sendInformational(stream: Stream<Owner>, status: number, fields: Fields = NO_FIELDS): void {
    if (!stream.isReset) this.#session.sender.informational(stream, status, fields);
  }

  /**
   * The final head. `date` is the Date field's value, `""` for none. Settles `stream.bodyMode`. Throws `UsageError` and
   * changes nothing when the response cannot be sent like that. As all that is sent on a stream that was reset, it is
   * dropped.
   */
  sendHead(stream: Stream<Owner>, response: ResponseHead, date: string): void {
    if (!stream.isReset) this.#session.sender.head(stream, response, date);
  }

  /**
   * A piece of the body; text in `encoding`. False: no more, please, before the stream's `room` event. The bytes belong to
   * the core until `onSent`, which `output` hands out; without it, for good. Throws `UsageError` when the body gets
   * longer than declared.
   */
  sendData(
    stream: Stream<Owner>,
    data: string | Uint8Array,
    onSent?: () => void,
    encoding: TextEncoding = "utf8",
  ): boolean {
    if (!stream.isReset) return this.#session.sender.data(stream, data, onSent, encoding);
    onSent?.();
    return true;
  }

  /**
   * The end of the body, with trailers if there are any. `output` hands out `onSent` with END_STREAM, or when it will
   * never leave. Throws `UsageError` when fewer bytes were sent than declared, or a field may not stand in trailers; the
   * stream is then reset.
   */
  sendEnd(stream: Stream<Owner>, trailers: Fields = NO_FIELDS, onSent?: () => void): void {
    if (stream.isReset) return;
    try {
      this.#session.sender.end(stream, trailers, onSent);
    } catch (error) {
      this.reset(stream, INTERNAL_ERROR);
      throw error;
    }
  }

  /** Breaks the stream off. No event follows, and nothing when it is closed already. */
  reset(stream: Stream<Owner>, code: number): void {
    const { sender, streams } = this.#session;
    if (streams.get(stream.id) !== stream) return;
    this.#session.close(stream, false);
    sender.frames.reset(stream.id, code);
  }

  /**
   * What to write now: all control frames and heads, and about `maxBytes` of data. Heads and small bodies are gathered
   * in one buffer; large pieces are given where they lie.
   */
  output(maxBytes: number, now: number): Output {
    return this.#session.sender.output(maxBytes, now);
  }

  // --- drain -----------------------------------------------------------------------------------

  /**
   * Tell the peer to open no more streams (RFC 9113 §6.8). Those it opens before it has heard of it are still served:
   * the last one is named when a PING has gone there and back, or by `finishDrain`.
   */
  startDrain(): void {
    if (this.#draining || this.#closed) return;
    this.#draining = true;
    const { sender } = this.#session;
    sender.frames.goaway(MAX_WINDOW, NO_ERROR, "");
    sender.frames.ping(0, DRAIN_PING, 0);
    this.#session.onPingAck = (bytes, at) => {
      if (DRAIN_PING.equals(bytes.subarray(at, at + 8))) this.finishDrain();
    };
  }

  /** Name the last stream that will be answered; later ones are ignored. */
  finishDrain(): void {
    this.#draining = true;
    this.#session.onPingAck = undefined;
    if (this.#closed || this.#session.acceptsUpTo !== Number.MAX_SAFE_INTEGER) return;
    this.#session.acceptsUpTo = this.#session.streams.lastId;
    this.#session.sender.frames.goaway(this.#session.acceptsUpTo, NO_ERROR, "");
  }

  /** The last stream has been named, and all are done. */
  get drained(): boolean {
    return this.#session.acceptsUpTo !== Number.MAX_SAFE_INTEGER && this.openStreams === 0;
  }

  // --- time ------------------------------------------------------------------------------------

  /** The instant at which `late` should be called, in ms; Infinity when nothing is waited for. */
  nextDeadline(): number {
    if (this.#closed) return Number.POSITIVE_INFINITY;
    const { limits, sender, acknowledged } = this.#session;
    const since = this.#receiver.waitingSince;
    let deadline = acknowledged ? Number.POSITIVE_INFINITY : this.#settingsSince + limits.settingsAckMs;
    if (since !== -1) deadline = Math.min(deadline, since + limits.headMs);
    if (sender.queuedBytes > 0) deadline = Math.min(deadline, sender.stalls.since + limits.sendMs);
    return deadline;
  }

  /** Does what is due: ends a connection that is late, resets streams that are stalled. Ask `next` and `output` then. */
  late(now: number): void {
    if (this.#closed) return;
    this.#session.now = now;
    const { limits, acknowledged } = this.#session;
    const since = this.#receiver.waitingSince;
    try {
      if (since !== -1 && now >= since + limits.headMs) {
        throw calmDown("a head or frame was not complete in time", "headMs", limits.headMs);
      }
      if (!acknowledged && now >= this.#settingsSince + limits.settingsAckMs) {
        throw connectionFault(SETTINGS_TIMEOUT, "SETTINGS were not acknowledged in time", "RFC 9113 §6.5.3");
      }
      this.#session.resetStalled(now);
    } catch (error) {
      if (!(error instanceof ConnectionFault)) throw error;
      this.#fail(error);
    }
  }

  /** Reading goes on that the shell had stopped: what the peer must do in time may have been done. */
  resumed(now: number): void {
    this.#settingsSince = now;
    this.#receiver.resumed(now);
    this.#session.sender.stalls.restart(now);
  }

  // --- what there is ---------------------------------------------------------------------------

  /** The open streams. */
  streams(): IterableIterator<Stream<Owner>> {
    return this.#session.streams[Symbol.iterator]();
  }

  get openStreams(): number {
    return this.#session.streams.size;
  }

  /** Bytes received and not yet turned into events, or not read. */
  get retainedBytes(): number {
    return this.#receiver.retainedBytes + this.#session.window.unread;
  }

  /** Bytes to be written that `output` has not given out: control frames and heads, and data that wait. */
  get queuedBytes(): number {
    return this.bufferedBytes + this.#session.sender.queuedBytes;
  }

  /** Of these, what nothing but reading no more requests can bound: data wait in streams, which are limited. */
  get bufferedBytes(): number {
    return this.#session.sender.bufferedBytes;
  }
}
