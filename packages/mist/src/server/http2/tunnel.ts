// One HTTP/2 stream as a stream of bytes: what a WebSocket runs on behind an extended CONNECT (RFC 8441 §5).
//
// DATA is what is written and read, END_STREAM is the FIN, RST_STREAM the reset. The protocol is told what glisten tells
// that of a connection. What it does not take yet stays in the stream, whose window then holds back its peer alone; what
// the peer does not take waits in the core, which resets a stream that takes nothing for `sendMs`.
//
// Behind our END_STREAM the peer has a moment to send its own: a proxy between us may drop what it has not passed on
// when it sees a reset. Then the stream is reset, with NO_ERROR.

import { Buffer } from "node:buffer";
import type { CloseReason, ConnectionInfo, Protocol, Sendable } from "@x/glisten";
import { callUser, clock } from "@x/glisten/kit";
import { NO_FIELDS } from "../../http/fields.ts";
import { CANCEL, INTERNAL_ERROR } from "../../http2/errors.ts";
import type { Stream } from "../../http2/streams/stream.ts";
import type { UpgradeBody, UpgradeHost } from "../body/response-body.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import type { StreamHost, StreamOwner } from "./stream-host.ts";

/** How long the peer has for its END_STREAM behind ours, in ms. */
const lingerMs = 1_000;
const never = Number.POSITIVE_INFINITY;

/** The stream of an extended CONNECT that was accepted. */
export class Http2Tunnel implements ByteStream, StreamOwner {
  readonly #host: StreamHost;
  readonly #stream: Stream<StreamOwner>;
  readonly #server: UpgradeHost;
  #protocol: Protocol | undefined = undefined;
  /** The protocol is at work on what it was given last: nothing more is read. */
  #busy = false;
  /** The protocol has been told that the peer has ended. */
  #ended = false;
  /** Nothing more is written: END_STREAM is on its way. */
  #closing = false;
  /** The protocol has been, or is about to be, told `closed`. */
  #over = false;
  /** The protocol has nothing to do any more; END_STREAM of the peer is waited for. */
  #lingering = false;
  /** The host has been told that this is over. */
  #left = false;
  #due = never;
  bytesWritten = 0;

  constructor(host: StreamHost, stream: Stream<StreamOwner>, server: UpgradeHost) {
    this.#host = host;
    this.#stream = stream;
    this.#server = server;
  }

  /** Begins with the protocol that `body` starts; the accepting head has been sent. */
  start(body: UpgradeBody): void {
    try {
      this.#protocol = body.start(this, this.#server);
      const { shutdownDeadlineMs } = this.#host;
      if (shutdownDeadlineMs >= 0) this.shutdown(shutdownDeadlineMs);
    } catch (error) {
      this.#fail(error);
    }
    this.feed();
  }

  // ── what the protocol asks ──────────────────────────────────────────────────────────────────────────────

  write(data: Sendable, encoding: "utf8" | "latin1" = "utf8"): boolean {
    if (this.#closing || this.#over) return false;
    if (typeof data === "string" || data instanceof Uint8Array) return this.#write(data, encoding);
    let hasRoom = true;
    for (const part of data) hasRoom = this.#write(part, encoding);
    return hasRoom;
  }

  #write(data: string | Uint8Array, encoding: "utf8" | "latin1"): boolean {
    this.bytesWritten += typeof data === "string" ? Buffer.byteLength(data, encoding) : data.length;
    const hasRoom = this.#host.core.sendData(this.#stream, data, undefined, encoding);
    this.#host.flushSoon();
    if (!hasRoom && this.#host.peerEnded) this.#giveUp();
    return hasRoom;
  }

  get bufferedAmount(): number {
    return this.#stream.queuedBytes;
  }

  get closed(): boolean {
    return this.#over;
  }

  close(): void {
    if (this.#closing || this.#over) return;
    this.#closing = true;
    const sent = (): void => this.#end({ type: this.#host.shutdownDeadlineMs >= 0 ? "shutdown" : "normal" });
    this.#host.core.sendEnd(this.#stream, NO_FIELDS, sent);
    this.#host.flushSoon();
    if (this.#host.peerEnded) this.#giveUp();
  }

  /** Without new windows what waits will wait for ever. */
  #giveUp(): void {
    process.nextTick(() => this.#end({ type: "reset", code: "econnreset" }));
  }

  reset(deadline?: string): void {
    if (this.#over) return;
    this.#reset(CANCEL);
    const reason: CloseReason = deadline === undefined ? { type: "normal" } : { type: "deadline", deadline };
    process.nextTick(() => this.#tellClosed(reason));
  }

  #reset(code: number): void {
    this.#over = true;
    this.#due = never;
    this.#host.core.reset(this.#stream, code);
    this.#host.flushSoon();
  }

  setDeadline(ms: number): void {
    if (this.#over) return;
    if (ms === 0) {
      this.#due = never;
      return;
    }
    const now = clock.now();
    this.#due = now + ms;
    this.#host.arm(this.#due, now);
  }

  info(): ConnectionInfo {
    return this.#host.connection.info();
  }

  // ── what the connection tells ───────────────────────────────────────────────────────────────────────────

  feed(): void {
    const { core } = this.#host;
    while (!this.#busy && !this.#ended) {
      const piece = core.read(this.#stream);
      if (piece === undefined && !this.#host.peerEnded) return;
      if (piece === null || piece === undefined) {
        this.#ended = true;
        this.#peerEnded();
        return;
      }
      if (core.queuedBytes > 0) this.#host.flushSoon(); // the window it gives back
      if (!this.#closing && !this.#over) this.#hand(piece);
    }
  }

  #hand(piece: Buffer): void {
    this.#guard((protocol) => {
      const busy = protocol.data(piece);
      if (busy === undefined) return;
      this.#busy = true;
      busy.then(
        () => {
          this.#busy = false;
          this.feed();
        },
        (error: unknown) => this.#fail(error),
      );
    });
  }

  #peerEnded(): void {
    if (this.#lingering) this.#leave();
    else if (!this.#closing && !this.#over) {
      this.#guard((protocol) => {
        if (protocol.end === undefined) this.close();
        else protocol.end();
      });
    }
  }

  hasRoom(): void {
    if (!this.#over) this.#guard((protocol) => protocol.drain?.());
  }

  get due(): number {
    return this.#due;
  }

  late(now: number): void {
    if (now < this.#due) return;
    this.#due = never;
    if (this.#lingering) this.#leave();
    else this.#guard((protocol) => protocol.deadline?.());
  }

  shutdown(deadlineMs: number): void {
    if (!this.#over) this.#guard((protocol) => protocol.shutdown?.(deadlineMs));
  }

  leftByPeer(): void {
    if (this.#stream.queuedBytes > 0) this.#giveUp();
    else this.feed();
  }

  abandon(_error: unknown, reason: CloseReason): void {
    this.#end(reason);
    // At the stop deadline the protocol is not waited for.
    if (this.#lingering || reason.type === "killed") this.#leave(reason.type === "killed");
  }

  // ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

  // What a protocol throws is a failure of ours, and no other stream's.
  #guard(call: (protocol: Protocol) => void): void {
    if (this.#protocol === undefined) return;
    try {
      call(this.#protocol);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#server.onError(error);
    if (this.#over) return;
    this.#reset(INTERNAL_ERROR);
    this.#tellClosed({ type: "handler", error });
  }

  /** Nothing is sent or received any more. */
  #end(reason: CloseReason): void {
    if (this.#over) return;
    this.#over = true;
    this.#due = never;
    this.#tellClosed(reason);
  }

  #tellClosed(reason: CloseReason): void {
    const killed = reason.type === "killed";
    const told = callUser(() => this.#protocol?.closed?.(reason), undefined, this.#server.onError);
    if (told === undefined) this.#linger(killed);
    else void told.then(() => this.#linger(killed));
  }

  #linger(killed: boolean): void {
    const stream = this.#stream;
    if (killed || stream.isReset || stream.requestComplete || this.#host.peerEnded) {
      this.#leave(killed);
      return;
    }
    this.#lingering = true;
    this.#busy = false; // with what nobody wants any more
    const now = clock.now();
    this.#due = now + lingerMs;
    this.#host.arm(this.#due, now);
    this.feed();
  }

  #leave(killed = false): void {
    if (this.#left) return;
    this.#left = true;
    this.#lingering = false;
    this.#due = never;
    this.#host.core.stopReading(this.#stream);
    this.#host.done(this, killed);
  }
}
