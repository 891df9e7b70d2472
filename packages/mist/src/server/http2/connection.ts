// One HTTP/2 connection: moves bytes between a glisten connection and the HTTP/2 core; each request becomes an exchange
// on a channel of its own (`channel.ts`).
//
// Bytes that arrive go into the core, whose events are taken until it wants more. What all streams have to send leaves in
// one write per turn: at once if every handler has answered, else when the promises of this turn have had their say.
// glisten gives a connection one deadline; it is armed for the earliest of what the core, the streams and the connection
// itself wait for, and mostly not moved when that passes.

import { Buffer } from "node:buffer";
import { performance } from "node:perf_hooks";
import { type CloseReason, type Connection, type Protocol, TransportError } from "@x/glisten";
import { LimitError, type ProtocolError } from "../../errors.ts";
import { Http2Connection } from "../../http2/connection.ts";
import { errorCodeName, SETTINGS_TIMEOUT } from "../../http2/errors.ts";
import type { FailedEvent, ResetEvent } from "../../http2/events.ts";
import type { Http2Limits } from "../../http2/limits.ts";
import type { RequestHead } from "../../http2/request-head.ts";
import type { Stream } from "../../http2/stream.ts";
import { orNever } from "../../options.ts";
import { answerFailure, clientGone } from "../exchange/failure.ts";
import type { Service } from "../exchange/service.ts";
import { noteRefusal } from "../exchange/telemetry.ts";
import { scheduleFlush } from "../flush-schedule.ts";
import { type Core, Http2Channel, type StreamHost, sendWhole } from "./channel.ts";

/** Bytes of data handed to the socket at a time: what is urgent waits behind no more. */
const maxOutput = 128 * 1024;
/** Bytes that may wait for a client that does not read before its requests are not read either. */
const maxUntaken = 64 * 1024;
const noBytes = Buffer.alloc(0);
const never = Number.POSITIVE_INFINITY;

/** One HTTP/2 connection, as glisten's protocol. */
export class Http2ServerConnection implements Protocol, StreamHost {
  readonly kind = "http2";
  readonly service: Service;
  readonly connection: Connection;
  readonly scheme: "http" | "https";
  readonly core: Core;
  peerEnded = false;
  /** Those whose exchange goes on behind the handler's call. */
  readonly #channels = new Set<Http2Channel>();
  #running = false;
  /** A handler called in this run has not answered yet. */
  #answersDue = false;
  #flushScheduled = false;
  #scheduleFlush: (() => void) | undefined = undefined;
  /** The socket holds more than it should, and has not drained since. */
  #blocked = false;
  /** Nothing more is read: what is written is the last. */
  #closing = false;
  #stopping = false;
  // Instants; `never` for none.
  #armedFor = never;
  #idleUntil = never;
  #drainUntil = never;

  constructor(service: Service, limits: Http2Limits, connection: Connection) {
    this.service = service;
    this.connection = connection;
    this.scheme = connection.transport === "tls" ? "https" : "http";
    const now = performance.now();
    this.core = new Http2Connection<Http2Channel>(now, { limits, extendedConnect: false });
    this.#rest(now);
  }

  // ── what glisten tells ──────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void {
    if (this.#closing) return;
    const now = performance.now();
    this.core.receive(chunk, now);
    this.#run(now);
  }

  end(): void {
    this.peerEnded = true;
    this.core.receiveEnd();
    for (const channel of [...this.#channels]) channel.leftByPeer();
    this.#run(performance.now());
  }

  drain(): void {
    this.#blocked = false;
    this.connection.resume();
    this.#run(performance.now());
  }

  shutdown(deadlineMs: number): void {
    this.#stopping = true;
    this.core.startDrain();
    for (const channel of [...this.#channels]) channel.shutdown(deadlineMs);
    const now = performance.now();
    this.#drainUntil = now + this.service.deadlines.stopGraceMs;
    this.#run(now);
  }

  deadline(): void {
    // The slot is coarse and may come a moment early for an instant set by another clock reading.
    const now = performance.now() + 1;
    this.#armedFor = never;
    if (now >= this.core.nextDeadline()) this.core.late(now);
    for (const channel of [...this.#channels]) channel.late(now);
    if (now >= this.#drainUntil) {
      this.#drainUntil = never;
      this.core.finishDrain();
    }
    if (now >= this.#idleUntil) {
      this.#idleUntil = never;
      this.core.finishDrain();
      this.#run(now, "keepAliveMs");
    } else this.#run(now);
    for (const channel of this.#channels) this.arm(channel.due, now);
  }

  closed(reason: CloseReason): void {
    this.#closing = true;
    if (this.#channels.size > 0) this.#abandonAll(clientGone(reason), reason.type === "killed");
  }

  #abandonAll(error: TransportError, killed: boolean): void {
    for (const channel of [...this.#channels]) {
      channel.abandon(error);
      this.done(channel, killed);
    }
  }

  // ── events ──────────────────────────────────────────────────────────────────────────────────────────────

  #run(now: number, deadline?: string): void {
    this.#running = true;
    this.#takeEvents();
    if (this.#answersDue) this.#flushBehindPromises();
    else this.#flush(now);
    this.#running = false;
    this.#rest(now, deadline);
  }

  #takeEvents(): void {
    for (;;) {
      const event = this.core.next();
      switch (event.type) {
        case "request":
          this.#begin(event.stream, event.head);
          break;
        case "data":
        case "end":
          event.stream.owner?.feed();
          break;
        case "room":
          event.stream.owner?.room.open();
          break;
        case "refused":
          this.#refuse(event.stream, event.error);
          break;
        case "reset":
          this.#reset(event);
          break;
        case "failed":
          this.#fail(event);
          break;
        case "goaway": // The client closes when it has its answers.
          break;
        default:
          return;
      }
    }
  }

  #begin(stream: Stream<Http2Channel>, head: RequestHead): void {
    this.#idleUntil = never;
    const channel = new Http2Channel(this, stream, head);
    stream.owner = channel;
    const { streams } = this.service;
    streams.open += 1;
    channel.exchange.run();
    if (channel.exchange.over) return;
    this.#channels.add(channel);
    this.#answersDue = true;
  }

  // A head that cannot become a request is answered; the connection goes on.
  #refuse(stream: Stream<Http2Channel>, error: ProtocolError): void {
    answerFailure(this.service, error, undefined, (response) => {
      const { body } = response;
      sendWhole(this.core, stream, response, body.kind === "bytes" ? body.data : "");
      noteRefusal(this.service.refusedBy, this.connection, error, response.status);
    });
    this.core.stopReading(stream);
  }

  #reset({ stream, code, by, reason }: ResetEvent<Http2Channel>): void {
    const channel = stream.owner;
    if (channel === undefined || channel.exchange.over) return;
    const message = by === "peer" ? `the client reset the stream (${errorCodeName(code)})` : reason;
    channel.abandon(new TransportError("closed", message));
    this.done(channel);
  }

  #fail({ code, error }: FailedEvent): void {
    noteRefusal(this.service.refusedBy, this.connection, error, undefined);
    this.#abandonAll(new TransportError("closed", `the connection ended: ${error.message}`), false);
    this.#closing = true;
    this.#running = false;
    this.#flush(performance.now());
    this.connection.resume();
    this.connection.close(missedDeadline(code, error));
  }

  // ── what channels ask ───────────────────────────────────────────────────────────────────────────────────

  get shuttingDown(): boolean {
    return this.#stopping;
  }

  done(channel: Http2Channel, killed = false): void {
    this.#channels.delete(channel);
    this.service.streams.end(this.#stopping, killed);
    this.flushSoon();
  }

  arm(instant: number, now: number): void {
    if (instant >= this.#armedFor) return;
    this.#armedFor = instant;
    this.connection.setDeadline(Math.max(1, instant - now));
  }

  flushSoon(): void {
    if (this.#flushScheduled || this.#running) return;
    this.#flushScheduled = true;
    scheduleFlush(this);
  }

  /** The promises that are settled come first: what they send shares the write. */
  #flushBehindPromises(): void {
    this.#answersDue = false;
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#scheduleFlush ??= () => process.nextTick(flushScheduled, this);
    queueMicrotask(this.#scheduleFlush);
  }

  /** @internal */
  runScheduledFlush(): void {
    this.#flushScheduled = false;
    if (this.#closing) return;
    try {
      this.#run(performance.now());
    } catch (error) {
      this.connection.destroy(error);
    }
  }

  // ── output ──────────────────────────────────────────────────────────────────────────────────────────────

  #flush(now: number): void {
    while (!this.#blocked) {
      const { pieces, onSent } = this.core.output(maxOutput, now);
      if (pieces.length === 0 && onSent.length === 0) break;
      const sent = onSent.length === 0 ? undefined : () => callAll(onSent);
      // Without bytes it is called behind those that are on their way.
      const bytes = pieces.length === 0 ? noBytes : pieces.length === 1 ? (pieces[0] as Uint8Array) : pieces;
      if (!this.connection.write(bytes, "latin1", sent)) this.#blocked = true;
      this.#takeEvents(); // streams have got room
    }
    // Heads are under no flow control: requests of a client that does not take its answers are not read.
    if (this.#blocked && this.core.queuedBytes > maxUntaken) this.connection.pause();
  }

  /** A turn is over: what is waited for now? */
  #rest(now: number, deadline?: string): void {
    if (this.#closing) return;
    const { core } = this;
    if (this.#isOver()) {
      this.#closing = true;
      this.connection.resume();
      this.connection.close(deadline);
      return;
    }
    if (core.openStreams === 0 && this.#idleUntil === never && !this.#stopping)
      this.#idleUntil = now + orNever(this.service.deadlines.keepAliveMs);
    this.arm(Math.min(core.nextDeadline(), this.#idleUntil, this.#drainUntil), now);
  }

  /** Nothing is left to be said, or to be waited for. */
  #isOver(): boolean {
    const { core } = this;
    if (this.#blocked || this.#channels.size > 0) return false;
    // Without its windows a client that has half-closed gets no more than it has got.
    if (this.peerEnded) return !this.#flushScheduled;
    return core.drained && core.queuedBytes === 0;
  }
}

function flushScheduled(connection: Http2ServerConnection): void {
  connection.runScheduledFlush();
}

/** The name of the deadline that the client has missed, if it was one. */
function missedDeadline(code: number, error: ProtocolError): string | undefined {
  if (code === SETTINGS_TIMEOUT) return "settingsAckMs";
  return error instanceof LimitError && error.limit.endsWith("Ms") ? error.limit : undefined;
}

function callAll(callbacks: readonly (() => void)[]): void {
  for (const callback of callbacks) callback();
}
