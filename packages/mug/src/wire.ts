/**
 * The connection below a socket: joins a Node stream to a {@link Reader} and a {@link Writer}, stops reading
 * when nobody asks (so that backpressure reaches the peer's window), puts TLS in between, and ends it: shutdown,
 * close, reset.
 */

import type { Socket as NetSocket } from "node:net";
import { TLSSocket } from "node:tls";
import { MugError, toMugError, UsageError } from "./errors.ts";
import {
  checkTls,
  checkVerifiable,
  checkWait,
  defaults,
  type TlsOptions,
  type WaitOptions,
} from "./options.ts";
import { Reader, type ReceiveRequest, renewed } from "./reader.ts";
import type { Tap } from "./tap.ts";
import { type Credentials, readCredentials, secure } from "./tls.ts";
import { Writer } from "./writer.ts";

/** What `connect` knows that the stream does not tell. */
export interface WireSettings {
  readonly highWaterMark: number;
  readonly maxReceive: number;
  /** Name to verify when TLS is started later. */
  readonly host: string | undefined;
  readonly path: string;
  readonly tap: Tap | undefined;
}

export class Wire {
  readonly reader: Reader;
  readonly writer: Writer;
  readonly closed: Promise<void>;
  /** The stream below TLS; a reset has to happen there. */
  readonly raw: NetSocket;
  stream: NetSocket;
  readonly #host: string | undefined;
  readonly #tap: Tap | undefined;
  /** Told of every packet and of the end, once the reader has it. */
  readonly #arrived: () => void;
  #paused = false;
  #discarding = false;
  #gone = false;
  #securing = false;
  #resolveClosed: () => void = () => {};

  constructor(raw: NetSocket, stream: NetSocket, settings: WireSettings, arrived: () => void) {
    this.raw = raw;
    this.stream = stream;
    this.#host = settings.host;
    this.#tap = settings.tap;
    this.#arrived = arrived;
    this.reader = new Reader(settings.highWaterMark);
    this.writer = new Writer(stream, settings.tap);
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

  // ---- parting

  halfClose(): Promise<void> {
    this.#tap?.event?.("half-close");
    return this.writer.finish();
  }

  async shutdown(): Promise<void> {
    if (this.#gone) return;
    if (!this.#discarding) this.#tap?.event?.("shutdown");
    this.#stopReceiving("the socket was shut down");
    await this.writer.finish();
    const timer = setTimeout(this.#destroy, defaults.linger);
    timer.unref();
    void this.closed.then(() => clearTimeout(timer));
  }

  close(timeout: number): Promise<void> {
    if (this.#gone) return this.closed;
    if (!this.#discarding) this.#tap?.event?.("close");
    this.#stopReceiving("the socket was closed");
    if (timeout === 0) {
      this.#destroy();
      return this.closed;
    }
    const timer = timeout === Number.POSITIVE_INFINITY ? undefined : setTimeout(this.#destroy, timeout);
    timer?.unref();
    this.writer.finish().then(this.#destroy, this.#destroy);
    return this.closed.finally(() => clearTimeout(timer));
  }

  reset(): Promise<void> {
    if (this.#gone) return this.closed;
    this.#tap?.event?.("reset");
    this.#stopReceiving("the socket was reset");
    this.writer.end(new MugError("closed", "the socket was reset"));
    this.#sendReset();
    return this.closed;
  }

  /** libuv refuses to reset while a shutdown is under way, and would leave the descriptor open. */
  #sendReset(): void {
    const reset = (): void => void this.raw.resetAndDestroy();
    // A unix socket has no remote port, and no RST.
    if (this.raw.remotePort === undefined || this.raw instanceof TLSSocket) this.#destroy();
    else if (!this.writer.finishing) reset();
    else if (this.writer.buffered > 0) this.#destroy();
    else this.writer.finish().then(reset, this.#destroy);
  }

  // ---- TLS

  startTls(tls: TlsOptions, wait: WaitOptions): Promise<void> {
    checkWait(wait);
    checkTls(tls);
    checkVerifiable(this.#host, tls);
    if (this.tls !== undefined || this.#securing) {
      throw new UsageError("the connection is already secured by TLS");
    }
    if (this.reader.waiting) throw new UsageError("a receive is waiting on this socket");
    return this.#startTls(readCredentials(tls), wait);
  }

  async #startTls(credentials: Credentials, wait: WaitOptions): Promise<void> {
    this.#securing = true;
    this.writer.held = new MugError("einprogress", "TLS is being started");
    try {
      await this.writer.flush(wait);
      if (this.reader.ended !== undefined) throw renewed(this.reader.ended, "startTls");
      if (this.reader.inbound.length > 0) throw this.#smuggled();
      await this.#handshake(credentials, wait);
    } finally {
      this.writer.held = undefined;
      this.#securing = false;
    }
  }

  #smuggled(): MugError {
    void this.reset();
    return new MugError("eproto", "the peer sent plain text ahead of the TLS handshake");
  }

  async #handshake(credentials: Credentials, wait: WaitOptions): Promise<void> {
    this.#detach();
    try {
      this.stream = await secure(this.raw, this.#host, credentials, wait);
    } catch (error) {
      this.#lost(toMugError(error));
      this.#leave();
      throw error;
    }
    this.writer.moveTo(this.stream);
    this.#attach();
    this.#tap?.event?.("secure");
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
    this.#tap?.received?.(chunk);
    this.reader.packet(chunk);
    this.#arrived();
    if (!this.reader.hungry) {
      this.#paused = true;
      this.stream.pause();
    }
  };

  readonly #onEnd = (): void => {
    this.#tap?.event?.("end");
    this.reader.end(new MugError("closed"));
    this.#arrived();
  };

  readonly #onDrain = (): void => this.writer.drained();

  readonly #onError = (error: Error): void => {
    const reason = toMugError(error);
    this.#tap?.event?.("error", reason.message);
    this.#lost(reason);
  };

  readonly #onClose = (): void => {
    if (this.#gone) return;
    this.#lost(this.reader.ended ?? new MugError("closed"));
    this.#leave();
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

  #leave(): void {
    this.#gone = true;
    this.#tap?.event?.("closed");
    this.#resolveClosed();
  }

  #stopReceiving(why: string): void {
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
