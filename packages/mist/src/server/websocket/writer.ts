// The sending half of a WebSocket: frames in order, gathered into few writes, with backpressure.
//
// What is sent while corked (that is, while a packet or a message is being handled) leaves in one write; what is sent
// at other times leaves before the event loop goes on or, with a broadcast, soon after (flush-schedule.ts). A message
// that zlib's threads are at work on holds back those behind it, so that order is kept. A peer that takes nothing is
// bounded: `maxBufferedBytes`.

import { Buffer } from "node:buffer";
import { type Connection, TransportError } from "@x/glisten";
import { encodeClosePayload } from "../../websocket/close-code.ts";
import { BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT } from "../../websocket/frame.ts";
import { fullBatch, maxBatchedPayload, Outbox } from "../../websocket/outbox.ts";
import { refused, SENT } from "../body/sent.ts";
import { joinsFlush, scheduleFlush } from "./flush-schedule.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";
import type { PreparedFrame } from "./prepared-frame.ts";
import { SendBacklog } from "./send-backlog.ts";

/** What the writer tells its owner. */
export interface WriterHost {
  readonly connection: Connection;
  readonly settings: WriterSettings;
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

/** Outboxes nobody is using. */
const idleOutboxes: Outbox[] = [];
const maxIdleOutboxes = 64;

export class WebSocketWriter {
  readonly #host: WriterHost;
  /** The connection's compression, if it was agreed upon. */
  readonly deflate: PermessageDeflate | undefined;
  /** Frames not yet written; lent only while there are any. */
  #outbox: Outbox | undefined;
  #corked = 0;
  #flushScheduled = false;
  #blocked = false;
  /** A Close frame has been given to the writer, or the connection is gone: nothing more may be sent. */
  #ended = false;
  /** A message is with zlib's threads. */
  #compressing = false;
  #backlog: SendBacklog | undefined;

  constructor(host: WriterHost, deflate: PermessageDeflate | undefined) {
    this.#host = host;
    this.deflate = deflate;
  }

  /** True while the peer takes less than it is given. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** True once a Close frame has been given to the writer, or the connection is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  get bufferedAmount(): number {
    return this.#host.connection.bufferedAmount + this.#gathered() + (this.#backlog?.bytes ?? 0);
  }

  /** Holds writes back until `uncork`. */
  cork(): void {
    this.#corked++;
  }

  uncork(): void {
    if (--this.#corked === 0 && this.#outbox !== undefined) this.flush();
  }

  // ---- messages ------------------------------------------------------------------------------------------------

  text(data: string): Promise<void> {
    if (this.#ended) return closed();
    const length = Buffer.byteLength(data);
    if (this.#compresses(length)) return this.#compress(TEXT, data, length);
    if (this.#compressing) return this.#wait(length, () => this.#putText(data, length));
    this.#putText(data, length);
    return this.#taken(length);
  }

  binary(data: Uint8Array): Promise<void> {
    if (this.#ended) return closed();
    const { length } = data;
    if (this.#compresses(length)) return this.#compress(BINARY, data, length);
    if (this.#compressing) return this.#wait(length, () => this.#put(FIN | BINARY, data));
    this.#put(FIN | BINARY, data);
    return this.#taken(length);
  }

  prepared(frame: PreparedFrame): Promise<void> {
    if (this.#ended) return closed();
    const bytes = frame.bytesFor(this.deflate, this.#host.settings.threshold);
    if (this.#compressing) return this.#wait(bytes.length, () => this.#putEncoded(bytes));
    this.#putEncoded(bytes);
    return this.#taken(bytes.length);
  }

  // ---- control frames, which may overtake messages (RFC 6455 §5.4), but for Close --------------------------------

  ping(data: Uint8Array): Promise<void> {
    if (this.#ended) return closed();
    this.#put(FIN | PING, data);
    return this.#taken(data.length);
  }

  /** Answers a ping. */
  pong(data: Buffer): void {
    if (this.#ended) return;
    if (this.#blocked) {
      // Not a view that would pin the packet it came in.
      this.#behind.latePong = Buffer.from(data);
      return;
    }
    this.#put(FIN | PONG, data);
    this.#leaveSoon();
  }

  /** Sends a Close frame, behind everything else. */
  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const payload = encodeClosePayload(code, reason);
    const put = (): void => this.#putLast(payload);
    if (this.#compressing) this.#behind.enqueue({ size: payload.length, run: put, abandon: nothing });
    else put();
  }

  /** Calls `then` once everything given to the writer, a Close frame included, has been given to the connection. */
  whenFlushed(then: () => void): void {
    this.flush();
    if (this.#compressing) this.#behind.enqueue({ size: 0, run: then, abandon: nothing });
    else then();
  }

  // ---- what the connection tells ---------------------------------------------------------------------------------

  /** The peer has taken what was written. */
  drained(): void {
    this.#blocked = false;
    const backlog = this.#backlog;
    if (backlog === undefined) return;
    const { latePong } = backlog;
    backlog.latePong = undefined;
    if (latePong !== undefined) this.pong(latePong);
    backlog.release();
  }

  /** Resolves when the peer has taken what was written. */
  whenDrained(): Promise<void> {
    return this.#behind.released;
  }

  /** The connection is gone. */
  abandon(): void {
    this.#ended = true;
    this.#blocked = false;
    const error = new TransportError("closed", "the WebSocket is closed");
    const backlog = this.#backlog;
    this.#backlog = undefined;
    this.#takeGathered(false);
    backlog?.abandon(error);
  }

  /** Writes what has been gathered. */
  flush(): void {
    if (this.#outbox === undefined) return;
    // What has to wait in the socket must not keep a whole slab of frames alive.
    const batch = this.#takeGathered(this.#host.connection.bufferedAmount > 0);
    if (!this.#host.connection.write(batch, "latin1")) this.#blocked = true;
  }

  // ---- below -----------------------------------------------------------------------------------------------------

  get #behind(): SendBacklog {
    this.#backlog ??= new SendBacklog();
    return this.#backlog;
  }

  get #gathering(): Outbox {
    this.#outbox ??= idleOutboxes.pop() ?? new Outbox();
    return this.#outbox;
  }

  #gathered(): number {
    return this.#outbox === undefined ? 0 : this.#outbox.size;
  }

  #takeGathered(own: boolean): string | Buffer {
    const outbox = this.#outbox;
    if (outbox === undefined) return "";
    this.#outbox = undefined;
    if (idleOutboxes.length < maxIdleOutboxes) idleOutboxes.push(outbox);
    return outbox.take(own);
  }

  #putText(data: string, length: number): void {
    if (length === data.length) this.#gathering.ascii(data);
    else if (length <= maxBatchedPayload) this.#gathering.utf8(data, length);
    else this.#putLarge(FIN | TEXT, Buffer.from(data, "utf8"));
  }

  #put(first: number, payload: Uint8Array): void {
    if (payload.length <= maxBatchedPayload) this.#gathering.frame(first, payload);
    else this.#putLarge(first, payload);
  }

  /** A payload that is not worth copying leaves at once, with all that was gathered before it, in one write. */
  #putLarge(first: number, payload: Uint8Array): void {
    this.#gathering.header(first, payload.length);
    const { connection } = this.#host;
    const batch = this.#takeGathered(connection.bufferedAmount > 0);
    if (!connection.write([batch, payload], "latin1")) this.#blocked = true;
  }

  #putLast(payload: Buffer): void {
    this.#put(FIN | CLOSE, payload);
    this.flush();
  }

  #putEncoded(frame: Buffer): void {
    if (frame.length <= maxBatchedPayload) {
      this.#gathering.encoded(frame);
      return;
    }
    this.flush();
    if (!this.#host.connection.write(frame)) this.#blocked = true;
  }

  /** The promise for a message that has just been put into the outbox or written. */
  #taken(size: number): Promise<void> {
    this.#leaveSoon();
    if (!this.#blocked) return SENT;
    // However large a message is, there is room for one.
    if (this.bufferedAmount - size > this.#host.settings.maxBufferedBytes) {
      this.#host.overflowed();
      return closed();
    }
    return this.whenDrained();
  }

  #leaveSoon(): void {
    const size = this.#gathered();
    if (size >= fullBatch) {
      this.flush();
    } else if (this.#flushScheduled) {
      joinsFlush();
    } else if (this.#corked === 0 && size > 0) {
      this.#flushScheduled = true;
      scheduleFlush(this);
    }
  }

  /** @internal */
  runScheduledFlush(): void {
    this.#flushScheduled = false;
    this.flush();
  }

  #compresses(length: number): boolean {
    // Nothing there is nothing to compress, and zlib would not flush twice in a row.
    return this.deflate !== undefined && length > 0 && length >= this.#host.settings.threshold;
  }

  #compress(opcode: number, data: string | Uint8Array, length: number): Promise<void> {
    if (this.#compressing) return this.#wait(length, () => this.#compressNow(opcode, data, length));
    this.#compressNow(opcode, data, length);
    return this.#compressing ? this.#wait(0, nothing) : this.#taken(length);
  }

  #compressNow(opcode: number, data: string | Uint8Array, length: number): void {
    const first = FIN | RSV1 | opcode;
    const deflated = this.deflate!.deflate(data, length);
    if (!(deflated instanceof Promise)) {
      // Only good until the next message: copied, whatever its size.
      if (deflated.length <= maxBatchedPayload) this.#gathering.frame(first, deflated);
      else this.#putLarge(first, Buffer.from(deflated));
      return;
    }
    this.#compressing = true;
    const backlog = this.#behind;
    backlog.bytes += length;
    deflated.then(
      (payload) => {
        backlog.bytes -= length;
        this.#compressed(first, payload);
      },
      (error: unknown) => {
        // Expected when the connection went away under it.
        if (!this.#host.connection.closed) this.#host.writeFailed(error);
      },
    );
  }

  #compressed(first: number, payload: Buffer): void {
    if (this.#host.connection.closed) return;
    this.#compressing = false;
    this.cork();
    this.#put(first, payload);
    const backlog = this.#behind;
    for (let next = backlog.shift(); next !== undefined; next = backlog.shift()) {
      next.run();
      if (this.#compressing) break;
    }
    this.uncork();
  }

  #wait(size: number, put: () => void): Promise<void> {
    const promise = new Promise<void>((resolve, abandon) => {
      const run = (): void => {
        put();
        resolve(this.#blocked ? this.whenDrained() : undefined);
      };
      this.#behind.enqueue({ size, run, abandon });
    });
    promise.catch(nothing);
    if (this.bufferedAmount - size > this.#host.settings.maxBufferedBytes) this.#host.overflowed();
    return promise;
  }
}

function nothing(): void {}

function closed(): Promise<void> {
  return refused(new TransportError("closed", "the WebSocket is closed"));
}
