/** A connected socket: what a caller can do with a connection. The connection itself is in wire.ts. */

import type { Socket as NetSocket } from "node:net";
import type { PeerCertificate } from "node:tls";
import { ActiveMode, type ActiveState, type TcpMessage } from "./active-mode.ts";
import { type Address, ownOf, peerOf } from "./address.ts";
import { MugError, UsageError } from "./errors.ts";
import {
  type CollectOptions,
  checkSize,
  checkWait,
  defaults,
  type TlsOptions,
  type WaitOptions,
} from "./options.ts";
import { ANY, type ReceiveRequest } from "./reader.ts";
import { type WebStreams, webStreams } from "./web-streams.ts";
import { Wire, type WireSettings } from "./wire.ts";
import type { Sendable } from "./writer.ts";

/** A connected socket. `await using` closes it, `for await` gives packets until the peer's FIN. */
export class Socket implements AsyncIterable<Buffer>, AsyncDisposable {
  readonly #wire: Wire;
  readonly #active: ActiveMode;
  readonly #maxReceive: number;
  readonly #peer: Address;
  readonly #own: Address;

  /** @internal Use `connect` or `fromNodeSocket`. `stream` is `raw` or a TLS stream over it. */
  constructor(raw: NetSocket, stream: NetSocket, settings: WireSettings) {
    this.#maxReceive = settings.maxReceive;
    this.#peer = peerOf(raw, settings.path);
    this.#own = ownOf(raw);
    const wire = new Wire(raw, stream, settings, () => {
      if (this.#active.state !== "passive") this.#active.pump();
    });
    this.#wire = wire;
    this.#active = new ActiveMode(this, {
      takePacket: () => wire.takePacket(),
      get ended() {
        return wire.reader.ended;
      },
    });
  }

  /** Resolves when the connection is entirely gone, for whatever reason; never rejects. */
  get closed(): Promise<void> {
    return this.#wire.closed;
  }

  // ---- sending

  /**
   * Sends bytes, UTF-8 text, or an array of them as one write. Resolves at once while the peer keeps up, else
   * when the backlog has drained; bytes handed over must not be changed afterwards. A timeout or a signal ends
   * the waiting only: what was sent stays sent. Code `closed` after this side has finished.
   */
  send(data: Sendable, options?: WaitOptions): Promise<void> {
    return this.#wire.writer.send(data, options);
  }

  /** Resolves when the operating system has taken all bytes sent so far. */
  flush(options?: WaitOptions): Promise<void> {
    return this.#wire.writer.flush(options);
  }

  // ---- receiving

  /** What is there, at least one byte; waits for the next packet if there is nothing. Code `closed` at the end. */
  receive(options?: WaitOptions): Promise<Buffer> {
    return this.#receive(ANY, options);
  }

  /** Exactly `size` bytes. Should the end come first: code `closed`, and `receive` still has what came. */
  receiveExact(size: number, options?: WaitOptions): Promise<Buffer> {
    checkSize(size, "size", this.#maxReceive);
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
    const max = this.#max(options, this.#maxReceive);
    return this.#receive({ kind: "rest", what: "receiveToEnd", max }, options);
  }

  /** Puts bytes back in front of what was not received yet. */
  unreceive(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new UsageError("unreceive takes bytes");
    this.#wire.reader.inbound.unshift(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
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

  /** Whether packets come as messages: `"passive"`, for one more packet (`"once"`), or for all. */
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
    return this.#wire.halfClose();
  }

  /**
   * Flushes, then ends both directions: send and receive are `closed` from now on. What the peer still sends
   * is read and dropped until its FIN, for a second at most, so that our last bytes are not lost to a reset.
   */
  shutdown(): Promise<void> {
    return this.#wire.shutdown();
  }

  /**
   * Flushes, sends FIN and lets go of the socket without waiting for the peer. Never rejects: what cannot leave
   * within `timeout` (default 5000 ms; 0 flushes nothing) is dropped. Resolves when the socket is gone.
   */
  close(options: { readonly timeout?: number } = {}): Promise<void> {
    checkWait(options);
    return this.#wire.close(options.timeout ?? defaults.closeTimeout);
  }

  /**
   * Ends the connection with RST and drops what was not sent. Where there can be no RST it is closed abruptly: on
   * a unix socket, on a TLS socket of Node that was wrapped, and when a FIN already waits behind bytes that the
   * peer does not take.
   */
  reset(): Promise<void> {
    return this.#wire.reset();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- TLS

  /**
   * TLS over this connection from here on (STARTTLS). Verifies the host connected to unless `serverName` says
   * another. Sending meanwhile is `einprogress`. A failed handshake ends the connection. Bytes the peer sent
   * before the handshake are an attempt to smuggle plain text in, hence code `eproto`.
   */
  startTls(options: TlsOptions & WaitOptions = {}): Promise<void> {
    const { timeout, signal, ...tls } = options;
    if (this.#active.state !== "passive") throw new UsageError("the socket is armed");
    return this.#wire.startTls(tls, { timeout, signal });
  }

  /** True once the connection is encrypted. */
  get encrypted(): boolean {
    return this.#wire.tls !== undefined;
  }

  /** The protocol agreed on by ALPN, if any. */
  get alpnProtocol(): string | undefined {
    return this.#wire.tls?.alpnProtocol || undefined;
  }

  /** For example `"TLSv1.3"`. */
  get tlsVersion(): string | undefined {
    return this.#wire.tls?.getProtocol() ?? undefined;
  }

  /** The peer's certificate as Node describes it. */
  peerCertificate(): PeerCertificate | undefined {
    return this.#wire.tls?.getPeerCertificate();
  }

  // ---- facts

  /** The peer's address and port, or the path of its unix socket; remembered when the connection is gone. */
  peername(): Address {
    return this.#peer;
  }

  /** Our own end's, likewise. */
  sockname(): Address {
    return this.#own;
  }

  /** Bytes that arrived from the peer; with TLS, those of the records. */
  get bytesRead(): number {
    return this.#wire.raw.bytesRead;
  }

  /** Bytes sent or waiting to be; with TLS, those of the records. */
  get bytesWritten(): number {
    return this.#wire.raw.bytesWritten;
  }

  /** Bytes that have arrived and wait to be received. */
  get bytesAvailable(): number {
    return this.#wire.reader.inbound.length;
  }

  /** Bytes handed to `send` that the operating system has not taken yet. */
  get bufferedAmount(): number {
    return this.#wire.writer.buffered;
  }

  /** Web streams over this socket: closing the writable half-closes, aborting it resets. */
  toWeb(): WebStreams {
    return webStreams(this);
  }

  // ---- inside

  #receive(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    if (this.#active.state === "passive") return this.#wire.receive(request, options);
    if (options !== undefined) checkWait(options);
    return Promise.reject(new MugError("einval", "the socket is armed: its packets come as messages"));
  }

  #max(options: CollectOptions | undefined, fallback: number): number {
    if (options?.max === undefined) return Math.min(fallback, this.#maxReceive);
    checkSize(options.max, "max", this.#maxReceive);
    return options.max;
  }

  #arm(state: ActiveState): void {
    if (this.#wire.reader.waiting) throw new UsageError("a receive is waiting on this socket");
    this.#active.arm(state);
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
