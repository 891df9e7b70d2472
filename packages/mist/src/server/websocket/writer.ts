// The sending half of a WebSocket's shell: when frames leave, and who waits for room.
//
// What is sent while corked (that is, while a packet or a message is being handled) leaves in one write; what is sent
// at other times leaves before the event loop goes on or, with a broadcast, soon after (flush-schedule.ts). A message
// that zlib's threads are at work on holds back those behind it, so that order is kept. A peer that takes nothing is
// bounded: `maxBufferedBytes`.

import { Buffer } from "node:buffer";
import { TransportError } from "@x/glisten";
import { Flow, quietRejection } from "@x/glisten/kit";
import type { WebSocketConnection } from "../../websocket/connection.ts";
import { BINARY, FIN, RSV1, TEXT } from "../../websocket/frame.ts";
import { maxCopiedBytes } from "../../websocket/outbox.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import { joinsFlush, scheduleFlush } from "../flush-schedule.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";
import type { PreparedFrame } from "./prepared-frame.ts";

/** What the writer tells its owner. */
export interface WriterHost {
  readonly stream: ByteStream;
  readonly settings: WriterSettings;
  readonly core: WebSocketConnection;
  /** The peer has left more than `maxBufferedBytes` lying. */
  overflowed(): void;
  /** A message could not be compressed: never the peer's fault. */
  writeFailed(error: unknown): void;
}

export interface WriterSettings {
  readonly maxBufferedBytes: number;
  /** Messages below this are not compressed; bytes. */
  readonly threshold: number;
}

/** Messages for zlib's threads, and behind them. Only a connection that sends large messages compressed has one. */
interface Backlog {
  /** A message is with zlib's threads. */
  busy: boolean;
  /** What waits behind it. */
  readonly queue: { readonly size: number; readonly put: () => void }[];
  /** Bytes of all of them. */
  bytes: number;
}

export class WebSocketWriter {
  readonly #host: WriterHost;
  /** The connection's compression, if it was agreed upon. */
  readonly deflate: PermessageDeflate | undefined;
  /** Blocked while the peer takes less than it is given, and while a message is being compressed. */
  readonly flow: Flow = new Flow();
  #corked = 0;
  #flushScheduled = false;
  /** The stream has asked for a pause. */
  #streamFull = false;
  #backlog: Backlog | undefined;

  constructor(host: WriterHost, deflate: PermessageDeflate | undefined) {
    this.#host = host;
    this.deflate = deflate;
  }

  /** Whether messages may be sent: no Close has been sent, and the peer is there. */
  get open(): boolean {
    return this.#host.core.writable;
  }

  get bufferedAmount(): number {
    const { stream, core } = this.#host;
    return stream.bufferedAmount + core.pendingBytes + (this.#backlog?.bytes ?? 0);
  }

  /** Holds writes back until `uncork`. */
  cork(): void {
    this.#corked++;
  }

  uncork(): void {
    if (--this.#corked === 0) this.flush();
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

  text(data: string): Promise<void> {
    const { core } = this.#host;
    if (!core.writable) return closed();
    const length = Buffer.byteLength(data);
    if (this.#backlog?.busy) return this.#wait(length, () => this.#putText(data, length));
    this.#putText(data, length);
    return this.#sent(length);
  }

  binary(data: Uint8Array): Promise<void> {
    const { core } = this.#host;
    if (!core.writable) return closed();
    if (this.#backlog?.busy) return this.#wait(data.length, () => this.#putBinary(data));
    this.#putBinary(data);
    return this.#sent(data.length);
  }

  prepared(frame: PreparedFrame): Promise<void> {
    const { core, settings } = this.#host;
    if (!core.writable) return closed();
    const bytes = frame.bytesFor(this.deflate, settings.threshold);
    if (this.#backlog?.busy) return this.#wait(bytes.length, () => core.encoded(bytes));
    core.encoded(bytes);
    return this.#sent(bytes.length);
  }

  /** Control frames may overtake messages (RFC 6455 §5.4). */
  ping(data: Uint8Array): Promise<void> {
    const { core } = this.#host;
    if (!core.writable) return closed();
    core.ping(data);
    return this.#sent(data.length);
  }

  /** Begins the closing handshake, behind everything that has been sent. */
  close(code: number, reason: string): void {
    this.#host.core.close(code, reason);
    if (this.#corked === 0) this.flush();
  }

  // ── what the stream tells ─────────────────────────────────────────────────────────────────────────────────

  /** The peer has taken what was written. */
  drained(): void {
    this.#streamFull = false;
    this.#reopen();
  }

  /** Nothing will leave any more. */
  abandon(): void {
    this.#backlog = undefined;
    this.flow.abandon(socketClosed);
  }

  /** Writes what waits. Ends the stream when all has been said. */
  flush(): void {
    if (this.flow.abandoned) return;
    const { core, stream } = this.#host;
    if (core.pendingBytes > 0) {
      // What has to wait in the stream must not keep a whole slab of frames alive.
      const batch = core.take(stream.bufferedAmount > 0);
      if (!stream.write(batch, "latin1")) {
        this.#streamFull = true;
        this.flow.block();
      }
    }
    if (core.finished) stream.close();
  }

  /** @internal */
  runScheduledFlush(): void {
    this.#flushScheduled = false;
    this.flush();
  }

  // ── below ─────────────────────────────────────────────────────────────────────────────────────────────────

  #putText(data: string, length: number): void {
    if (this.#compresses(length)) this.#compress(FIN | RSV1 | TEXT, data, length);
    else this.#host.core.text(data, length);
  }

  #putBinary(data: Uint8Array): void {
    if (this.#compresses(data.length)) this.#compress(FIN | RSV1 | BINARY, data, data.length);
    else this.#host.core.frame(FIN | BINARY, data);
  }

  /** The promise for a message that waits to leave. */
  #sent(size: number): Promise<void> {
    const { core } = this.#host;
    if (core.full) this.flush();
    else if (this.#flushScheduled) joinsFlush();
    else if (this.#corked === 0 && core.pendingBytes > 0) {
      this.#flushScheduled = true;
      scheduleFlush(this);
    }
    return this.#room(size);
  }

  #room(size: number): Promise<void> {
    const { flow } = this;
    // However large a message is, there is room for one.
    if (flow.blocked && this.bufferedAmount - size > this.#host.settings.maxBufferedBytes)
      this.#host.overflowed();
    return flow.whenRoom();
  }

  #compresses(length: number): boolean {
    // zlib does not flush twice in a row: an empty message stays as it is.
    return this.deflate !== undefined && length > 0 && length >= this.#host.settings.threshold;
  }

  #compress(first: number, data: string | Uint8Array, length: number): void {
    const { core } = this.#host;
    const deflated = this.deflate!.deflate(data, length);
    if (!(deflated instanceof Promise)) {
      // Only good until the next message, and may wait: copied.
      core.frame(first, deflated.length <= maxCopiedBytes ? deflated : Buffer.from(deflated));
      return;
    }
    core.owe();
    this.#backlog ??= { busy: true, queue: [], bytes: 0 };
    this.#backlog.busy = true;
    this.#backlog.bytes += length;
    this.flow.block();
    deflated.then(
      (payload) => this.#compressed(first, payload, length),
      (error: unknown) => {
        // Expected when the connection went away under it.
        if (!this.flow.abandoned) this.#host.writeFailed(error);
      },
    );
  }

  #compressed(first: number, payload: Buffer, length: number): void {
    const { core } = this.#host;
    const backlog = this.#backlog;
    if (backlog === undefined) return;
    backlog.busy = false;
    backlog.bytes -= length;
    this.cork();
    core.frame(first, payload);
    core.pay();
    // One of those that waited may have to be compressed, too, and then holds back the rest.
    while (!backlog.busy && backlog.queue.length > 0) {
      const next = backlog.queue.shift()!;
      backlog.bytes -= next.size;
      next.put();
      core.pay();
    }
    this.uncork();
    this.#reopen();
  }

  #reopen(): void {
    if (!this.#streamFull && !this.#backlog?.busy) this.flow.open();
  }

  #wait(size: number, put: () => void): Promise<void> {
    const backlog = this.#backlog!;
    this.#host.core.owe();
    backlog.queue.push({ size, put });
    backlog.bytes += size;
    return this.#room(size);
  }
}

function closed(): Promise<void> {
  return quietRejection(socketClosed());
}

function socketClosed(): TransportError {
  return new TransportError("closed", "the WebSocket is closed");
}
