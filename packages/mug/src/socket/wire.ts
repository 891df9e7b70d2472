// The connection below a socket: joins a stream to a Reader and a Writer, stops reading when nobody asks (so that
// backpressure reaches the peer), puts TLS in between, and ends the connection.

import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { clock } from "../clock.ts";
import { Deadline } from "../deadline.ts";
import { abortedError, MugError, renewed, toMugError, UsageError } from "../errors.ts";
import {
  checkVerifiable,
  defaults,
  type SocketOptions,
  type TlsOptions,
  type WaitOptions,
} from "../options.ts";
import { handled, rejected } from "../unhandled.ts";
import { Reader, type ReceiveRequest } from "./reader.ts";
import { type ByteStream, resetOf } from "./stream.ts";
import { type SafeTap, safeTap } from "./tap.ts";
import { type Credentials, readCredentials, secure } from "./tls.ts";
import { Writer } from "./writer.ts";

/** Options of a socket, and what `connect` knows that the stream does not tell. */
export interface WireOptions extends SocketOptions {
  /** Name to verify when TLS is started later. */
  readonly host?: string | undefined;
  /** The peer's unix path. */
  readonly path?: string | undefined;
}

export class Wire {
  readonly reader: Reader;
  readonly writer: Writer;
  readonly closed: Promise<void>;
  /** The stream below TLS; a reset has to happen there. */
  readonly raw: ByteStream;
  stream: Duplex;
  /** Bytes that have arrived; with TLS, those of the application. */
  received = 0;
  readonly #host: string | undefined;
  readonly #tap: SafeTap | undefined;
  /** Told of every packet and of the end, once the reader has it. */
  readonly #arrived: () => void;
  #paused = false;
  #discarding = false;
  #gone = false;
  #securing = false;
  #resolveClosed: () => void = () => {};

  constructor(raw: ByteStream, stream: Duplex, options: WireOptions, arrived: () => void) {
    this.raw = raw;
    this.stream = stream;
    this.#host = options.host;
    this.#tap = safeTap(options.tap);
    this.#arrived = arrived;
    this.reader = new Reader(options.highWaterMark ?? defaults.highWaterMark);
    this.writer = new Writer(stream, this.#tap);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#attach();
    // It may have gone between being connected and coming here; its "close" will not be heard again.
    if (stream.destroyed) queueMicrotask(this.#onClose);
  }

  get tls(): TLSSocket | undefined {
    return this.stream instanceof TLSSocket ? this.stream : undefined;
  }

  // ---- receiving

  receive(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    const bytes = this.reader.receive(request, options);
    if (this.#paused) this.#resumeIfHungry();
    return bytes;
  }

  takePacket(): Buffer | undefined {
    const packet = this.reader.inbound.takeAny();
    if (this.#paused) this.#resumeIfHungry();
    return packet;
  }

  // ---- ending

  halfClose(): Promise<void> {
    this.#tap?.event("half-close");
    return this.writer.finish();
  }

  async shutdown(): Promise<void> {
    this.#stopReceiving("shutdown", "the socket was shut down");
    if (this.#gone) return;
    await this.writer.finish();
    const timer = clock.setTimer(this.#destroy, defaults.linger);
    timer.unref();
    void this.closed.then(() => clock.clearTimer(timer));
  }

  close(timeout: number): Promise<void> {
    this.#stopReceiving("close", "the socket was closed");
    if (this.#gone) return this.closed;
    if (timeout === 0) {
      this.#destroy();
      return this.closed;
    }
    const timer = timeout === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(this.#destroy, timeout);
    timer?.unref();
    this.writer.finish().then(this.#destroy, this.#destroy);
    return this.closed.finally(() => clock.clearTimer(timer));
  }

  reset(): Promise<void> {
    this.#stopReceiving("reset", "the socket was reset");
    if (this.#gone) return this.closed;
    this.writer.end(new MugError("closed", "the socket was reset"));
    this.#sendReset();
    return this.closed;
  }

  /** libuv refuses to reset while a shutdown is under way, and would leave the descriptor open. */
  #sendReset(): void {
    const reset = resetOf(this.raw);
    if (reset === undefined) this.#destroy();
    else if (!this.writer.finishing) reset();
    else if (this.writer.flow.buffered > 0) this.#destroy();
    else this.writer.finish().then(reset, this.#destroy);
  }

  // ---- TLS

  startTls(tls: TlsOptions, wait: WaitOptions): Promise<void> {
    checkVerifiable(this.#host, tls);
    if (this.tls !== undefined || this.#securing) throw new UsageError("the connection already uses TLS");
    if (this.reader.waiting) throw new UsageError("startTls cannot begin while a receive is waiting");
    const credentials = readCredentials(tls);
    if (wait.signal?.aborted) return rejected(abortedError("startTls", wait.signal));
    return handled(this.#startTls(credentials, new Deadline(wait)));
  }

  async #startTls(credentials: Credentials, deadline: Deadline): Promise<void> {
    this.#securing = true;
    this.writer.held = new MugError("einprogress", "TLS is being started");
    try {
      await deadline.limit("startTls", this.writer.flush());
      if (this.reader.ended !== undefined) throw renewed(this.reader.ended, "startTls");
      if (this.reader.inbound.length > 0) throw this.#injected();
      await this.#handshake(credentials, deadline);
    } finally {
      this.writer.held = undefined;
      this.#securing = false;
    }
  }

  #injected(): MugError {
    void this.reset();
    return new MugError("eproto", "the peer sent plain text ahead of the TLS handshake");
  }

  async #handshake(credentials: Credentials, deadline: Deadline): Promise<void> {
    this.#detach();
    try {
      this.stream = await secure(this.raw, this.#host, credentials, deadline);
    } catch (error) {
      this.#leave(toMugError(error));
      throw error;
    }
    this.writer.flow.moveTo(this.stream);
    this.#attach();
    this.#tap?.event("secure");
  }

  // ---- the stream's events

  #attach(): void {
    const { stream } = this;
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    stream.on("drain", this.#onDrain);
    stream.on("error", this.#onError);
    stream.on("close", this.#onClose);
  }

  #detach(): void {
    const { stream } = this;
    stream.off("data", this.#onData);
    stream.off("end", this.#onEnd);
    stream.off("drain", this.#onDrain);
    stream.off("close", this.#onClose);
    // "error" stays: the stream below TLS may still report one, and an unheard error ends the process.
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#discarding) return;
    this.received += chunk.length;
    this.#tap?.received(chunk);
    this.reader.packet(chunk);
    this.#arrived();
    if (!this.reader.hungry) {
      this.#paused = true;
      this.stream.pause();
    }
  };

  readonly #onEnd = (): void => {
    this.#tap?.event("end");
    this.reader.end(new MugError("closed"));
    this.#arrived();
  };

  readonly #onDrain = (): void => this.writer.flow.drained();

  readonly #onError = (error: Error): void => {
    const reason = toMugError(error);
    this.#tap?.event("error", reason.message);
    this.#lost(reason);
  };

  readonly #onClose = (): void => {
    this.#leave(this.reader.ended ?? new MugError("econnreset", "the stream was destroyed before its end"));
  };

  readonly #destroy = (): void => {
    this.stream.destroy();
  };

  /** Nothing goes in either direction any more. */
  #lost(reason: MugError): void {
    this.writer.end(reason);
    this.reader.end(reason);
    this.#arrived();
  }

  #leave(reason: MugError): void {
    if (this.#gone) return;
    this.#lost(reason);
    this.writer.gone(reason);
    this.#gone = true;
    this.#tap?.event("closed");
    this.#resolveClosed();
  }

  /** What is still held is dropped, also when the connection is gone already. */
  #stopReceiving(event: "shutdown" | "close" | "reset", why: string): void {
    if (!this.#gone && (!this.#discarding || event === "reset")) this.#tap?.event(event);
    this.#discarding = true;
    this.reader.discard(new MugError("closed", why));
    this.#paused = false;
    this.stream.resume();
  }

  #resumeIfHungry(): void {
    if (!this.reader.hungry) return;
    this.#paused = false;
    this.stream.resume();
  }
}
