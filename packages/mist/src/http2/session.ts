// What the two directions of a connection share: its streams, its windows, its budgets, and what is to be told.

import { NO_FIELDS } from "../http/fields.ts";
import { CANCEL, connectionFault, NO_ERROR, STREAM_CLOSED } from "./errors.ts";
import type { Http2Event } from "./events.ts";
import { Budget } from "./flow/budgets.ts";
import { ConnectionWindow, DEFAULT_WINDOW, StreamWindow } from "./flow/flow-control.ts";
import type { Http2Limits } from "./limits.ts";
import type { RequestHead } from "./messages/request-head.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import { Stream } from "./streams/stream.ts";
import { StreamTable } from "./streams/stream-table.ts";

/** What a DATA frame that we sent, or a request, earns a peer: updates of windows and priorities go with them. */
const EARNED = 4;

export class Session<Owner> implements SenderOwner<Owner> {
  readonly limits: Http2Limits;
  readonly extendedConnect: boolean;
  readonly streams: StreamTable<Owner> = new StreamTable<Owner>();
  readonly sender: Sender<Owner>;
  readonly window: ConnectionWindow;
  /** The instant of the bytes being read. */
  now: number;
  /** Streams above this id come too late (RFC 9113 §6.8). */
  acceptsUpTo: number = Number.MAX_SAFE_INTEGER;
  /** Has the peer acknowledged our SETTINGS? */
  acknowledged = false;
  /** The opaque data of the PING that drain waits for, and what its acknowledgement does. */
  onPingAck: ((bytes: Uint8Array, at: number) => void) | undefined = undefined;
  readonly #resets: Budget;
  /** Responses sent since the budget of resets was looked at. */
  #responses = 0;
  readonly #overhead: Budget;
  /** The event to be told next, and those behind it. */
  #event: Http2Event<Owner> | undefined = undefined;
  readonly #moreEvents: Http2Event<Owner>[] = [];

  constructor(limits: Http2Limits, extendedConnect: boolean, now: number) {
    this.limits = limits;
    this.extendedConnect = extendedConnect;
    this.now = now;
    this.sender = new Sender<Owner>(this, limits);
    this.window = new ConnectionWindow(limits.connectionWindow, limits.maxUnread);
    this.#resets = new Budget(
      "stream errors and resets",
      "resetBurst",
      limits.resetBurst,
      limits.resetsPerSecond,
    );
    this.#overhead = new Budget(
      "frames without effect",
      "overheadBurst",
      limits.overheadBurst,
      limits.overheadPerSecond,
    );
  }

  // --- events ----------------------------------------------------------------------------------

  tell(event: Http2Event<Owner>): void {
    // There is rarely more than one, and then no queue is needed.
    if (this.#event === undefined) this.#event = event;
    else this.#moreEvents.push(event);
  }

  nextEvent(): Http2Event<Owner> | undefined {
    const event = this.#event;
    if (event !== undefined)
      this.#event = this.#moreEvents.length === 0 ? undefined : this.#moreEvents.shift();
    return event;
  }

  // --- budgets ---------------------------------------------------------------------------------

  /** The peer has sent a frame of no use. Throws a `ConnectionFault` when there are too many. */
  spendOverhead(cost: number): void {
    this.#overhead.earn(this.sender.dataFrames * EARNED);
    this.sender.dataFrames = 0;
    this.#overhead.spend(cost, this.now);
  }

  /** The peer has reset a stream, or made us do it. Throws a `ConnectionFault` when it does so too often. */
  spendReset(): void {
    // Who asks for much cancels much, and gains nothing by a response for every reset.
    this.#resets.earn(this.#responses);
    this.#responses = 0;
    this.#resets.spend(1, this.now);
  }

  // --- streams ---------------------------------------------------------------------------------

  /** A stream for a request that has just come. */
  open(id: number, head: RequestHead | undefined, isHead: boolean, ended: boolean): Stream<Owner> {
    const window = ended ? undefined : this.#streamWindow();
    const stream = new Stream<Owner>(id, head, isHead, window, this.sender.peer.initialWindowSize);
    if (ended) stream.endRequest(NO_FIELDS);
    this.streams.add(stream);
    this.#overhead.earn(EARNED);
    return stream;
  }

  #streamWindow(): StreamWindow {
    // What was announced counts from its acknowledgement on (RFC 9113 §6.5.3).
    const { streamWindow } = this.limits;
    const available = this.acknowledged ? streamWindow : Math.max(streamWindow, DEFAULT_WINDOW);
    return new StreamWindow(available, streamWindow);
  }

  /** Our SETTINGS hold from now on. */
  settingsAcknowledged(): void {
    if (this.acknowledged) return;
    this.acknowledged = true;
    const excess = DEFAULT_WINDOW - this.limits.streamWindow;
    if (excess <= 0) return;
    for (const { receiveWindow } of this.streams)
      if (receiveWindow !== undefined) receiveWindow.available -= excess;
  }

  /** The peer broke a rule of one stream (RFC 9113 §5.4.2). Throws a `ConnectionFault` when it does so too often. */
  streamError(stream: Stream<Owner>, code: number, reason: string): void {
    this.sender.frames.reset(stream.id, code);
    this.close(stream, false);
    this.tell({ type: "reset", stream, code, by: "core", reason });
    this.spendReset();
  }

  /** The same, of a stream that is closed, or that the shell has never heard of. */
  resetUnknown(id: number, code: number): void {
    this.sender.frames.reset(id, code);
    this.streams.reset(id, false);
    this.spendReset();
  }

  /** A frame came for a stream that is closed (RFC 9113 §5.1). It returns only when the frame is to be ignored. */
  frameOnClosed(id: number): void {
    const closed = this.streams.closed(id);
    if (closed === "reset-by-us" || id > this.acceptsUpTo) {
      this.spendOverhead(1);
      return;
    }
    if (closed === "reset-by-peer") {
      this.resetUnknown(id, STREAM_CLOSED);
      return;
    }
    throw connectionFault(STREAM_CLOSED, "a frame follows the end of its stream", "RFC 9113 §5.1");
  }

  /** The stream is reset, by the peer or by us. */
  close(stream: Stream<Owner>, byPeer: boolean): void {
    this.#release(stream);
    stream.reset();
    this.sender.drop(stream);
    this.streams.reset(stream.id, byPeer);
  }

  /** The request is complete. */
  requestEnded(stream: Stream<Owner>): void {
    if (stream.responseComplete) this.#ended(stream);
  }

  responseSent(stream: Stream<Owner>): void {
    this.#responses++;
    if (stream.requestComplete) this.#ended(stream);
    else if (stream.unwanted) this.resetNoError(stream);
  }

  /** The response is complete, and nobody wants the rest of the request (RFC 9113 §8.1). */
  resetNoError(stream: Stream<Owner>): void {
    this.sender.frames.reset(stream.id, NO_ERROR);
    this.#release(stream);
    stream.content.clear();
    this.streams.reset(stream.id, false);
  }

  room(stream: Stream<Owner>): void {
    this.tell({ type: "room", stream });
  }

  #ended(stream: Stream<Owner>): void {
    this.#release(stream);
    this.streams.ended(stream);
  }

  /** What waits to be read is the shell's alone from now on. */
  #release(stream: Stream<Owner>): void {
    if (!stream.counted) return;
    stream.counted = false;
    if (stream.content.length > 0) this.contentGone(stream.content.length);
  }

  /** Streams that have been stalled for too long (CVE-2026-49975) are reset. */
  resetStalled(now: number): void {
    const { sendMs } = this.limits;
    for (const stream of this.sender.stalls.at(now - sendMs)) {
      this.streamError(stream, CANCEL, `the peer took nothing for ${sendMs} ms (sendMs)`);
    }
  }

  // --- receive windows -------------------------------------------------------------------------

  /** Content was read or dropped. */
  contentGone(count: number): void {
    this.window.unread -= count;
    this.giveBackConnection();
  }

  giveBackConnection(): void {
    const increment = this.window.giveBack();
    if (increment > 0) this.sender.frames.windowUpdate(0, increment);
  }

  /** `count` bytes of a stream's window are free again. */
  giveBackStream(stream: Stream<Owner>, count: number): void {
    const { receiveWindow, content } = stream;
    if (receiveWindow === undefined || stream.requestComplete) return;
    const increment = receiveWindow.giveBack(count, content.length, this.limits.maxStreamWindow);
    if (increment > 0) this.sender.frames.windowUpdate(stream.id, increment);
  }
}
