// One HTTP/2 connection: moves bytes between a glisten connection and the HTTP/2 core; each request becomes an exchange
// on a channel of its own (`channel.ts`).
//
// Bytes that arrive go into the core, whose events are taken until it wants more. What all streams have to send leaves in
// one write per turn: at once if every handler has answered, else when the promises of this turn have had their say.
// glisten gives a connection one deadline; it is armed for the earliest of what the core, the streams and the connection
// itself wait for, and mostly not moved when that passes.

import { Buffer } from "node:buffer";
import { type CloseReason, type Connection, type Protocol, TransportError } from "@x/glisten";
import { clock } from "@x/glisten/kit";
import { LimitError, type ProtocolError } from "../../errors.ts";
import { Http2Connection } from "../../http2/connection.ts";
import { CANCEL, errorCodeName, INTERNAL_ERROR, SETTINGS_TIMEOUT } from "../../http2/errors.ts";
import type { FailedEvent, ResetEvent } from "../../http2/events.ts";
import type { Http2Limits } from "../../http2/limits.ts";
import type { RequestHead } from "../../http2/messages/request-head.ts";
import type { Stream } from "../../http2/streams/stream.ts";
import { orNever } from "../../options.ts";
import { answerFailure, clientGone } from "../exchange/failure.ts";
import { noteRefusal, type Service } from "../exchange/service.ts";
import { scheduleFlush } from "../flush-schedule.ts";
import { Http2Channel, sendWhole } from "./channel.ts";
import type { Core, StreamHost, StreamOwner } from "./stream-host.ts";

/**
 * Bytes of data handed to the socket at a time: what is urgent waits behind no more. With its frame headers such a write
 * stays below the 128 KiB that glisten, and TCP over the loopback, take in one piece; 128 KiB of data cost a fifth more.
 */
const maxOutput = 120 * 1024;
/** Bytes of heads that may wait for a client that does not read before its requests are not read either. */
const maxUntaken = 64 * 1024;
const noBytes = Buffer.alloc(0);
const resetByPeer: CloseReason = Object.freeze({ type: "reset", code: "econnreset" });
const sendDeadline: CloseReason = Object.freeze({ type: "deadline", deadline: "send" });
const never = Number.POSITIVE_INFINITY;

/** One HTTP/2 connection, as glisten's protocol. */
export class Http2ServerConnection implements Protocol, StreamHost {
  readonly kind = "http2";
  readonly service: Service;
  readonly connection: Connection;
  readonly scheme: "http" | "https";
  readonly core: Core;
  peerEnded = false;
  shutdownDeadlineMs = -1;
  /** Those whose stream goes on behind the handler's call. */
  readonly #owners = new Set<StreamOwner>();
  /** Streams to be reset behind what can leave now. */
  readonly #brokenOff: Stream<StreamOwner>[] = [];
  /** Called when the last owner is done. */
  #onDone: (() => void) | undefined = undefined;
  #running = false;
  /** A handler called in this run has not answered yet. */
  #answersDue = false;
  #flushScheduled = false;
  #scheduleFlush: (() => void) | undefined = undefined;
  /** The socket holds more than it should, and has not drained since. */
  #blocked = false;
  /** The socket is not read until it drains: what the client must do in time cannot be seen. */
  #paused = false;
  /** Nothing more is read: what is written is the last. */
  #closing = false;
  // Instants; `never` for none.
  #armedFor = never;
  #idleUntil = never;
  #drainUntil = never;

  constructor(service: Service, limits: Http2Limits, connection: Connection) {
    this.service = service;
    this.connection = connection;
    this.scheme = connection.transport === "tls" ? "https" : "http";
    const now = clock.now();
    this.core = new Http2Connection<StreamOwner>(now, { limits });
    this.#rest(now);
  }

  // ── what glisten tells ──────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void {
    if (this.#closing) return;
    const now = clock.now();
    this.core.receive(chunk, now);
    this.#run(now);
  }

  end(): void {
    this.peerEnded = true;
    this.core.receiveEnd();
    for (const owner of [...this.#owners]) owner.leftByPeer();
    this.#run(clock.now());
  }

  drain(): void {
    const now = clock.now();
    this.#blocked = false;
    if (this.#paused) {
      this.#paused = false;
      this.core.resumed(now);
      this.connection.resume();
    }
    this.#run(now);
  }

  shutdown(deadlineMs: number): void {
    this.shutdownDeadlineMs = deadlineMs;
    this.core.startDrain();
    for (const owner of [...this.#owners]) owner.shutdown(deadlineMs);
    const now = clock.now();
    this.#drainUntil = now + this.service.deadlines.stopGraceMs;
    this.#run(now);
  }

  deadline(): void {
    // The slot is coarse and may come a moment early for an instant set by another clock reading.
    const now = clock.now() + 1;
    this.#armedFor = never;
    if (!this.#paused && now >= this.core.nextDeadline()) this.core.late(now);
    for (const owner of [...this.#owners]) owner.late(now);
    if (now >= this.#drainUntil) {
      this.#drainUntil = never;
      this.core.finishDrain();
    }
    if (now >= this.#idleUntil) {
      this.#idleUntil = never;
      this.core.finishDrain();
      this.#run(now, "keepAliveMs");
    } else this.#run(now);
    for (const owner of this.#owners) this.arm(owner.due, now);
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.#closing = true;
    if (this.#owners.size === 0) return;
    this.#abandonAll(clientGone(reason), reason);
    if (this.#owners.size === 0) return;
    return new Promise((resolve) => {
      this.#onDone = resolve;
    });
  }

  #abandonAll(error: TransportError, reason: CloseReason): void {
    for (const owner of [...this.#owners]) owner.abandon(error, reason);
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
          event.stream.owner?.hasRoom();
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

  #begin(stream: Stream<StreamOwner>, head: RequestHead): void {
    this.#idleUntil = never;
    const channel = new Http2Channel(this, stream, head);
    stream.owner = channel;
    const { streams } = this.service;
    streams.open += 1;
    channel.exchange.run();
    if (channel.exchange.over) return;
    this.#owners.add(channel);
    this.#answersDue = true;
  }

  // A head that cannot become a request is answered; the connection goes on.
  #refuse(stream: Stream<StreamOwner>, error: ProtocolError): void {
    answerFailure(this.service, error, undefined, (response) => {
      const { body } = response;
      sendWhole(this.core, stream, response, body.kind === "bytes" ? body.data : "");
      noteRefusal(this.service, this.connection, error, response.status);
    });
    this.core.stopReading(stream);
  }

  #reset({ stream, code, by, reason }: ResetEvent<StreamOwner>): void {
    const message = by === "peer" ? `the client reset the stream (${errorCodeName(code)})` : reason;
    // The core gives a stream up that takes nothing; else the client is to blame.
    const stalled = by === "core" && code === CANCEL;
    stream.owner?.abandon(new TransportError("closed", message), stalled ? sendDeadline : resetByPeer);
  }

  #fail({ code, error }: FailedEvent): void {
    noteRefusal(this.service, this.connection, error, undefined);
    this.#abandonAll(new TransportError("closed", `the connection ended: ${error.message}`), resetByPeer);
    this.#closing = true;
    this.#running = false;
    this.#flush(clock.now());
    this.connection.resume();
    this.connection.close(missedDeadline(code, error));
  }

  // ── what channels ask ───────────────────────────────────────────────────────────────────────────────────

  done(owner: StreamOwner, killed = false): void {
    this.#owners.delete(owner);
    this.service.streams.end(this.shutdownDeadlineMs >= 0, killed);
    if (this.#owners.size === 0) this.#onDone?.();
    this.flushSoon();
  }

  handOver(owner: StreamOwner, heir: StreamOwner): void {
    this.#owners.delete(owner);
    this.#owners.add(heir);
  }

  breakOff(stream: Stream<StreamOwner>): void {
    this.#brokenOff.push(stream);
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
      this.#run(clock.now());
    } catch (error) {
      this.connection.destroy(error);
    }
  }

  // ── output ──────────────────────────────────────────────────────────────────────────────────────────────

  #flush(now: number): void {
    this.#write(now);
    while (this.#brokenOff.length > 0) {
      for (const stream of this.#brokenOff.splice(0)) this.core.reset(stream, INTERNAL_ERROR);
      this.#write(now);
    }
    // Heads are under no flow control: requests of a client that does not take its answers are not read.
    if (!this.#blocked || this.#paused || this.core.bufferedBytes <= maxUntaken) return;
    this.#paused = true;
    this.connection.pause();
  }

  #write(now: number): void {
    while (!this.#blocked) {
      const { pieces, onSent } = this.core.output(maxOutput, now);
      if (pieces.length === 0 && onSent.length === 0) break;
      const sent = onSent.length === 0 ? undefined : () => callAll(onSent);
      // Without bytes it is called behind those that are on their way.
      const bytes = pieces.length === 0 ? noBytes : pieces.length === 1 ? (pieces[0] as Uint8Array) : pieces;
      if (!this.connection.write(bytes, "latin1", sent)) this.#blocked = true;
      this.#takeEvents(); // streams have got room
    }
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
    if (core.openStreams === 0 && this.#idleUntil === never && this.shutdownDeadlineMs < 0)
      this.#idleUntil = now + orNever(this.service.deadlines.keepAliveMs);
    const due = this.#paused ? never : core.nextDeadline();
    this.arm(Math.min(due, this.#idleUntil, this.#drainUntil), now);
  }

  /** Nothing is left to be said, or to be waited for. */
  #isOver(): boolean {
    const { core } = this;
    if (this.#blocked || this.#owners.size > 0) return false;
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
