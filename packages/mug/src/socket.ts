/**
 * A connected socket. It joins a Node stream to a {@link Reader} and a {@link Writer}, stops reading when
 * nobody asks (so that backpressure reaches the peer's window), and knows the four ways to part:
 * half-close, shutdown, close, reset.
 */

import type { Socket as NetSocket } from "node:net";
import { type PeerCertificate, TLSSocket } from "node:tls";
import { ActiveMode, type ActiveState, type TcpMessage } from "./active-mode.ts";
import { type Address, ownOf, peerOf } from "./address.ts";
import { MugError, toMugError, UsageError } from "./errors.ts";
import {
  type CollectOptions,
  checkSize,
  checkTls,
  checkVerifiable,
  checkWait,
  defaults,
  type TlsOptions,
  type WaitOptions,
} from "./options.ts";
import { ANY, Reader, type ReceiveRequest, renewed } from "./reader.ts";
import type { Tap } from "./tap.ts";
import { secure } from "./tls.ts";
import { type WebSocketStreams, webStreams } from "./web-streams.ts";
import { type Sendable, Writer } from "./writer.ts";

/** What `connect` knows that the stream does not tell. */
export interface SocketSettings {
  readonly highWaterMark: number;
  readonly maxReceive: number;
  /** Name to verify when TLS is started later. */
  readonly host: string | undefined;
  readonly path: string;
  readonly tap: Tap | undefined;
}

export class Socket implements AsyncIterable<Buffer>, AsyncDisposable {
  /** Resolves when the connection is entirely gone, for whatever reason; never rejects. */
  readonly closed: Promise<void>;
  readonly #settings: SocketSettings;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #active: ActiveMode;
  readonly #tap: Tap | undefined;
  readonly #peer: Address;
  readonly #own: Address;
  #stream: NetSocket;
  /** The stream below TLS; a reset has to happen there. */
  readonly #raw: NetSocket;
  #paused = false;
  #discarding = false;
  #gone = false;
  #securing = false;
  #resolveClosed: () => void = () => {};

  /** @internal Use `connect` or `fromNodeSocket`. `stream` is `raw` or a TLS stream over it. */
  constructor(raw: NetSocket, stream: NetSocket, settings: SocketSettings) {
    this.#settings = settings;
    this.#tap = settings.tap;
    this.#raw = raw;
    this.#stream = stream;
    this.#peer = peerOf(raw, settings.path);
    this.#own = ownOf(raw);
    this.#reader = new Reader(settings.highWaterMark);
    this.#writer = new Writer(stream, settings.tap);
    const reader = this.#reader;
    this.#active = new ActiveMode(this, {
      takePacket: () => this.#takePacket(),
      get ended() {
        return reader.ended;
      },
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#attach();
    // It may have gone between being connected and coming here; its "close" will not be heard again.
    if (stream.destroyed) queueMicrotask(this.#onClose);
  }

  // ---- sending

  /**
   * Sends bytes, UTF-8 text, or an array of them as one write. Resolves at once while the peer keeps up, else
   * when the backlog has drained; bytes handed over must not be changed afterwards. A timeout or a signal ends
   * the waiting only: what was sent stays sent. Code `closed` after this side has finished.
   */
  send(data: Sendable, options?: WaitOptions): Promise<void> {
    return this.#writer.send(data, options);
  }

  /** Resolves when the operating system has taken all bytes sent so far. */
  flush(options?: WaitOptions): Promise<void> {
    return this.#writer.flush(options);
  }

  // ---- receiving

  /** What is there, at least one byte; waits for the next packet if there is nothing. Code `closed` at the end. */
  receive(options?: WaitOptions): Promise<Buffer> {
    return this.#receive(ANY, options);
  }

  /** Exactly `size` bytes. Should the end come first: code `closed`, and `receive` still has what came. */
  receiveExact(size: number, options?: WaitOptions): Promise<Buffer> {
    checkSize(size, "size", this.#settings.maxReceive);
    return this.#receive({ kind: "exact", what: "receiveExact", size }, options);
  }

  /**
   * Everything through the first `delimiter`, delimiter included. `max` (default 65 536) counts it too; without
   * a delimiter within it: code `emsgsize`. Nothing is consumed by a failure.
   */
  receiveUntil(delimiter: string | Uint8Array, options?: CollectOptions): Promise<Buffer> {
    const max = this.#max(options, defaults.maxUntil);
    if (typeof delimiter !== "string" && !(delimiter instanceof Uint8Array)) {
      throw new UsageError("the delimiter must be a string or bytes");
    }
    if (delimiter.length === 0) throw new UsageError("the delimiter must not be empty");
    // A copy: the caller may change its bytes while the call waits.
    const bytes = Buffer.from(delimiter as Uint8Array);
    return this.#receive({ kind: "until", what: "receiveUntil", delimiter: bytes, max }, options);
  }

  /** A line of UTF-8 text without its ending, which is LF or CR LF. `max` (default 65 536) counts the ending too. */
  receiveLine(options?: CollectOptions): Promise<string> {
    const max = this.#max(options, defaults.maxUntil);
    return this.#receive({ kind: "until", what: "receiveLine", delimiter: LF, max }, options).then(
      textOfLine,
    );
  }

  /** Everything up to the peer's FIN; `max` bytes at most (default: the socket's `maxReceive`). */
  receiveToEnd(options?: CollectOptions): Promise<Buffer> {
    const max = this.#max(options, this.#settings.maxReceive);
    return this.#receive({ kind: "rest", what: "receiveToEnd", max }, options);
  }

  /** Puts bytes back in front of what was not received yet. */
  unreceive(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new UsageError("unreceive takes bytes");
    this.#reader.inbound.unshift(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  /** Packets until the peer's FIN; other ends throw. Leaving the loop leaves the socket open. */
  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => this.receive().then(nextPacket, endOfPackets),
      return: () => Promise.resolve(END_OF_PACKETS),
    };
  }

  // ---- active mode

  /** Arms the socket: the next packet goes to the subscribers, then it is passive again. */
  receiveNextPacketAsMessage(): void {
    this.#arm("once");
  }

  /** Arms the socket for every packet. There is no backpressure then but the receivers' own. */
  receiveAllPacketsAsMessages(): void {
    this.#arm("all");
  }

  /** Makes the socket passive; what has not been delivered can be received. */
  stopReceivingPacketsAsMessages(): void {
    this.#arm("passive");
  }

  get activeState(): ActiveState {
    return this.#active.state;
  }

  /** Takes the messages of the armed socket; gives the way to unsubscribe. */
  subscribe(receiver: (message: TcpMessage) => void): () => void {
    return this.#active.subscribe(receiver);
  }

  // ---- parting

  /** Flushes and sends FIN; receiving goes on. Resolves when the FIN is on its way. */
  halfClose(): Promise<void> {
    this.#tap?.event?.("half-close");
    return this.#writer.finish();
  }

  /**
   * Flushes, then ends both directions: send and receive are `closed` from now on. What the peer still sends
   * is read and dropped until its FIN, for a second at most, so that our last bytes are not lost to a reset.
   */
  async shutdown(): Promise<void> {
    if (this.#gone) return;
    if (!this.#discarding) this.#tap?.event?.("shutdown");
    this.#stopReceiving("the socket was shut down");
    await this.#writer.finish();
    const timer = setTimeout(() => this.#stream.destroy(), defaults.linger);
    timer.unref();
    void this.closed.then(() => clearTimeout(timer));
  }

  /**
   * Flushes, sends FIN and lets go of the socket without waiting for the peer. Never rejects: what cannot leave
   * within `timeout` (default 5000 ms; 0 flushes nothing) is dropped. Resolves when the socket is gone.
   */
  close(options: { readonly timeout?: number } = {}): Promise<void> {
    checkWait(options);
    if (this.#gone) return this.closed;
    if (!this.#discarding) this.#tap?.event?.("close");
    this.#stopReceiving("the socket was closed");
    const destroy = (): void => void this.#stream.destroy();
    const { timeout = defaults.closeTimeout } = options;
    if (timeout === 0) {
      destroy();
      return this.closed;
    }
    const timer = timeout === Number.POSITIVE_INFINITY ? undefined : setTimeout(destroy, timeout);
    timer?.unref();
    this.#writer.finish().then(destroy, destroy);
    return this.closed.finally(() => clearTimeout(timer));
  }

  /**
   * Ends the connection with RST and drops what was not sent. Where there can be no RST it is closed abruptly: on
   * a unix socket, on a TLS socket of Node that was wrapped, and when a FIN already waits behind bytes that the peer does not take.
   */
  reset(): Promise<void> {
    if (this.#gone) return this.closed;
    this.#tap?.event?.("reset");
    this.#stopReceiving("the socket was reset");
    this.#writer.end(new MugError("closed", "the socket was reset"));
    this.#sendReset();
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- TLS

  /**
   * TLS over this connection from here on (STARTTLS). Verifies the host connected to unless `serverName` says
   * another. Sending meanwhile is `einprogress`. A failed handshake ends the connection. Bytes the peer sent before the handshake are an attempt
   * to smuggle plain text in, hence code `eproto`.
   */
  startTls(options: TlsOptions & WaitOptions = {}): Promise<void> {
    const { timeout, signal, ...tls } = options;
    checkWait({ timeout, signal });
    checkTls(tls);
    checkVerifiable(this.#settings.host, tls);
    this.#refuseStartTls();
    return this.#startTls(tls, { timeout, signal });
  }

  /** True once the connection is encrypted. */
  get encrypted(): boolean {
    return this.#stream instanceof TLSSocket;
  }

  /** The protocol agreed on by ALPN, if any. */
  get alpnProtocol(): string | undefined {
    return this.#tls()?.alpnProtocol || undefined;
  }

  /** For example `"TLSv1.3"`. */
  get tlsVersion(): string | undefined {
    return this.#tls()?.getProtocol() ?? undefined;
  }

  /** The peer's certificate as Node describes it. */
  peerCertificate(): PeerCertificate | undefined {
    return this.#tls()?.getPeerCertificate();
  }

  // ---- facts

  peername(): Address {
    return this.#peer;
  }

  sockname(): Address {
    return this.#own;
  }

  /** Bytes that arrived from the peer; with TLS, those of the records. */
  get bytesRead(): number {
    return this.#raw.bytesRead;
  }

  /** Bytes sent or waiting to be; with TLS, those of the records. */
  get bytesWritten(): number {
    return this.#raw.bytesWritten;
  }

  /** Bytes that have arrived and wait to be received. */
  get bytesAvailable(): number {
    return this.#reader.inbound.length;
  }

  /** Bytes handed to `send` that the operating system has not taken yet. */
  get bufferedAmount(): number {
    return this.#writer.buffered;
  }

  /** Web streams over this socket: closing the writable half-closes, aborting it resets. */
  toWeb(): WebSocketStreams {
    return webStreams(this);
  }

  // ---- inside

  #receive(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    if (this.#active.state !== "passive") {
      if (options !== undefined) checkWait(options);
      return Promise.reject(new MugError("einval", "the socket is armed: its packets come as messages"));
    }
    const bytes = this.#reader.receive(request, options);
    if (this.#paused) this.#resumeIfHungry();
    return bytes;
  }

  #takePacket(): Buffer | undefined {
    const packet = this.#reader.inbound.takeAny();
    if (this.#paused) this.#resumeIfHungry();
    return packet;
  }

  #max(options: CollectOptions | undefined, fallback: number): number {
    if (options?.max === undefined) return Math.min(fallback, this.#settings.maxReceive);
    checkSize(options.max, "max", this.#settings.maxReceive);
    return options.max;
  }

  #arm(state: ActiveState): void {
    if (this.#reader.waiting) throw new UsageError("a receive is waiting on this socket");
    this.#active.arm(state);
  }

  #stopReceiving(why: string): void {
    this.#discarding = true;
    this.#reader.discard(new MugError("closed", why));
    this.#paused = false;
    this.#stream.resume();
  }

  #resumeIfHungry(): void {
    if (!this.#reader.hungry) return;
    this.#paused = false;
    this.#stream.resume();
  }

  #attach(): void {
    const stream = this.#stream;
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    stream.on("drain", this.#onDrain);
    stream.on("error", this.#onError);
    stream.on("close", this.#onClose);
  }

  #detach(): void {
    const stream = this.#stream;
    stream.off("data", this.#onData);
    stream.off("end", this.#onEnd);
    stream.off("drain", this.#onDrain);
    stream.off("close", this.#onClose);
    // "error" stays: the stream below TLS may still report one, and an unheard error ends the process.
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#discarding) return;
    this.#tap?.received?.(chunk);
    this.#reader.packet(chunk);
    if (this.#active.state !== "passive") this.#active.pump();
    if (!this.#reader.hungry) {
      this.#paused = true;
      this.#stream.pause();
    }
  };

  readonly #onEnd = (): void => {
    this.#tap?.event?.("end");
    this.#endReading(new MugError("closed"));
  };

  readonly #onDrain = (): void => this.#writer.drained();

  readonly #onError = (error: Error): void => {
    const reason = toMugError(error);
    this.#tap?.event?.("error", reason.message);
    this.#writer.end(reason);
    this.#endReading(reason);
  };

  readonly #onClose = (): void => {
    if (this.#gone) return;
    this.#gone = true;
    this.#tap?.event?.("closed");
    const reason = this.#reader.ended ?? new MugError("closed");
    this.#writer.end(reason);
    this.#endReading(reason);
    this.#resolveClosed();
  };

  #endReading(reason: MugError): void {
    this.#reader.end(reason);
    if (this.#active.state !== "passive") this.#active.pump();
  }

  #tls(): TLSSocket | undefined {
    return this.#stream instanceof TLSSocket ? this.#stream : undefined;
  }

  #refuseStartTls(): void {
    if (this.encrypted || this.#securing) throw new UsageError("the connection is already secured by TLS");
    if (this.#reader.waiting) throw new UsageError("a receive is waiting on this socket");
    if (this.#active.state !== "passive") throw new UsageError("the socket is armed");
  }

  #smuggled(): MugError {
    void this.reset();
    return new MugError("eproto", "the peer sent plain text ahead of the TLS handshake");
  }

  /** libuv refuses to reset while a shutdown is under way, and would leave the descriptor open. */
  #sendReset(): void {
    const reset = (): void => void this.#raw.resetAndDestroy();
    const destroy = (): void => void this.#stream.destroy();
    if (this.#peer.family === "unix" || this.#raw instanceof TLSSocket) destroy();
    else if (!this.#writer.finishing) reset();
    else if (this.#writer.buffered > 0) destroy();
    else this.#writer.finish().then(reset, destroy);
  }

  async #startTls(tls: TlsOptions, wait: WaitOptions): Promise<void> {
    this.#securing = true;
    this.#writer.held = new MugError("einprogress", "TLS is being started");
    try {
      await this.flush(wait);
      if (this.#reader.ended !== undefined) throw renewed(this.#reader.ended, "startTls");
      if (this.#reader.inbound.length > 0) throw this.#smuggled();
      await this.#handshake(tls, wait);
    } finally {
      this.#writer.held = undefined;
      this.#securing = false;
    }
  }

  async #handshake(tls: TlsOptions, wait: WaitOptions): Promise<void> {
    this.#detach();
    try {
      this.#stream = await secure(this.#raw, this.#settings.host, tls, wait);
    } catch (error) {
      const reason = toMugError(error);
      this.#writer.end(reason);
      this.#reader.end(reason);
      this.#gone = true;
      this.#resolveClosed();
      throw error;
    }
    this.#writer.moveTo(this.#stream);
    this.#attach();
    this.#tap?.event?.("secure");
  }
}

const END_OF_PACKETS: IteratorResult<Buffer, undefined> = { value: undefined, done: true };

function nextPacket(value: Buffer): IteratorResult<Buffer, undefined> {
  return { value, done: false };
}

function endOfPackets(error: unknown): IteratorResult<Buffer, undefined> {
  if (error instanceof MugError && error.code === "closed") return END_OF_PACKETS;
  throw error;
}

const LF: Buffer = Buffer.from("\n");

function textOfLine(line: Buffer): string {
  const ending = line.at(-2) === 0x0d ? 2 : 1;
  return line.toString("utf8", 0, line.length - ending);
}
