// A WebSocket connection, sans-IO (RFC 6455 §5–§7): bytes in, events out; messages in, bytes out.
//
//   state      the way out
//   opening    the application is not ready: what arrives waits, what is sent leaves → `open`
//   open       → closing   `close`: our Close is sent behind every message
//   closing    the peer's messages are dropped, its pings still answered; its Close → closed
//   closed     nothing is received or sent any more. What waits still leaves; then the stream is to be closed
//
//   From every state: the peer's Close is answered in kind, `fail` sends a Close, → closed; `lose` and `receiveEnd`
//   mean that the peer hears nothing any more, → closed with 1006.
//
// Owns the states, the answers to pings and Close frames, the order of frames, and how the connection ended. Time,
// sockets, compression and the user's code are the shell's.

import type { Buffer } from "node:buffer";
import { ABNORMAL_CLOSURE, type CloseStatus } from "./close-code.ts";
import { encodeClosePayload } from "./close-payload.ts";
import { CLOSE, FIN, PING } from "./frame.ts";
import type { Message } from "./message.ts";
import { type Batch, Outbox } from "./outbox.ts";
import {
  type CloseFrame,
  type Failed,
  FrameReader,
  NEED_DATA,
  type NeedData,
  type WebSocketLimits,
} from "./reader.ts";

/** See the table above. */
export type ConnectionState = "opening" | "open" | "closing" | "closed";

/** What the core tells. With `close` and `failed` the connection is closed, and the answer waits to leave. */
export type WebSocketEvent = Message | CloseFrame | Failed | NeedData;

/** Outboxes that no connection uses: an idle connection has none. */
const idleOutboxes: Outbox[] = [];
const maxIdleOutboxes = 64;

export class WebSocketConnection {
  readonly #reader: FrameReader;
  #state: ConnectionState = "opening";
  #status: CloseStatus | undefined;
  /** Frames not yet taken; lent only while there are any. */
  #outbox: Outbox | undefined;
  /** Messages promised by {@link owe}. */
  #owed = 0;
  /** Our Close, while messages are owed. */
  #close: Uint8Array | undefined;

  /** @param compression whether permessage-deflate has been negotiated */
  constructor(limits: WebSocketLimits, compression: boolean) {
    this.#reader = new FrameReader(limits, compression);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** How it ended: the peer's code (1005 if it gave none), ours where it broke a rule or we failed, or 1006. */
  get status(): CloseStatus | undefined {
    return this.#status;
  }

  /** Whether messages may be sent: no Close has been sent, and the peer is there. */
  get writable(): boolean {
    return this.#state === "open" || this.#state === "opening";
  }

  /** Memory held for what has arrived and not been given out. */
  get retainedBytes(): number {
    return this.#reader.retainedBytes;
  }

  // ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────

  /** The application is ready. */
  open(): void {
    if (this.#state === "opening") this.#state = "open";
  }

  /** Takes a packet, which is the core's from now on. Then call {@link next} until it needs data. */
  receive(bytes: Buffer): void {
    this.#reader.receive(bytes);
  }

  /** The stream has ended. Without both Close frames the connection was lost (RFC 6455 §7.1.5). */
  receiveEnd(): void {
    this.#end(ABNORMAL_CLOSURE, "the client closed the connection without a Close frame");
  }

  /** The next event. Pings are answered on the way; after a Close or a failure there is none (RFC 6455 §1.4, §7.1.7). */
  next(): WebSocketEvent {
    if (this.#state === "opening") return NEED_DATA;
    for (;;) {
      const event = this.#reader.next();
      switch (event.type) {
        case "text":
        case "binary":
        case "compressed":
          if (this.#state === "open") return event;
          continue;
        case "need-data":
          return event;
        case "ping":
          // RFC 6455 §5.5.2: a pong is due until the peer's Close has arrived; §5.5.1 forbids only data behind ours.
          this.#gathering().pong(event.payload);
          continue;
        case "pong":
          continue;
        case "close":
          // RFC 6455 §5.5.1: the answer to ours, or to be answered in kind.
          this.close(event.code, "");
          this.#end(event.code, event.reason);
          return event;
        case "failed":
          this.fail(event.error.closeCode, event.error.message);
          return event;
      }
    }
  }

  // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends a text message, which is `length` bytes in UTF-8. Only while {@link writable}, or if owed. */
  text(data: string, length: number): void {
    this.#gathering().text(data, length);
  }

  /** Sends a frame; `first` is the octet of FIN, RSV and opcode. Only while {@link writable}, or if owed. */
  frame(first: number, payload: Uint8Array): void {
    this.#gathering().frame(first, payload);
  }

  /** Sends a frame made before. Only while {@link writable}, or if owed. */
  encoded(frame: Buffer): void {
    this.#gathering().encoded(frame);
  }

  /** Sends a ping of at most 125 bytes. */
  ping(payload: Uint8Array): void {
    if (this.writable) this.frame(FIN | PING, payload);
  }

  /** A message was accepted that cannot be sent yet: a Close waits for it. */
  owe(): void {
    this.#owed++;
  }

  /** A message that was owed has been sent. */
  pay(): void {
    if (--this.#owed === 0 && this.#close !== undefined) this.#putClose(this.#close);
  }

  /** Begins the closing handshake. Does nothing once a Close has been sent. */
  close(code: number, reason: string): void {
    if (!this.writable) return;
    this.#state = "closing";
    const payload = encodeClosePayload(code, reason);
    if (this.#owed === 0) this.#putClose(payload);
    else this.#close = payload;
  }

  /** Breaks off: the peer is told why and not listened to any longer (RFC 6455 §7.1.7). */
  fail(code: number, reason: string): void {
    this.close(code, reason);
    this.#end(code, reason);
  }

  /** The peer is gone, or as good as gone: nothing leaves any more. */
  lose(reason: string): void {
    this.#end(ABNORMAL_CLOSURE, reason);
    this.#owed = 0;
    this.#close = undefined;
    this.take(false);
  }

  // ── what is to be written ─────────────────────────────────────────────────────────────────────────────────

  /** Bytes to be written. */
  get pendingBytes(): number {
    return this.#outbox === undefined ? 0 : this.#outbox.size;
  }

  /** Whether they should be written at once, even though more may follow. */
  get full(): boolean {
    return this.#outbox?.full === true;
  }

  /** Gives what is to be written. `own`: it may have to wait, and must not keep a whole slab of frames alive. */
  take(own: boolean): Batch {
    const outbox = this.#outbox;
    if (outbox === undefined) return "";
    this.#outbox = undefined;
    if (idleOutboxes.length < maxIdleOutboxes) idleOutboxes.push(outbox);
    return outbox.take(own);
  }

  /** Whether all has been said and taken: the server closes the stream (RFC 6455 §7.1.1). */
  get finished(): boolean {
    return this.#state === "closed" && this.#owed === 0 && this.#outbox === undefined;
  }

  // ── below ─────────────────────────────────────────────────────────────────────────────────────────────────

  #gathering(): Outbox {
    this.#outbox ??= idleOutboxes.pop() ?? new Outbox();
    return this.#outbox;
  }

  #putClose(payload: Uint8Array): void {
    this.#close = undefined;
    this.frame(FIN | CLOSE, payload);
  }

  #end(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#status = { code, reason };
    this.#reader.stop();
  }
}
