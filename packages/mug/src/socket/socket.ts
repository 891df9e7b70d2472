// A connected socket: what a caller can do with a connection, and the checks of every argument. The connection itself is
// in wire.ts.

import type { Duplex } from "node:stream";
import type { PeerCertificate } from "node:tls";
import { checkInteger, checkOptions, isBytes, isFunction, isTimeout, refuse } from "../checks.ts";
import { clock } from "../clock.ts";
import { MugError, UsageError } from "../errors.ts";
import {
  type CollectOptions,
  checkTls,
  collectChecks,
  defaults,
  startTlsChecks,
  type TlsOptions,
  type WaitOptions,
  waitChecks,
} from "../options.ts";
import { handled, rejected } from "../unhandled.ts";
import { ActiveMode, type ActiveState } from "./active-mode.ts";
import { anyBytes, type ReceiveRequest } from "./reader.ts";
import { type Address, type ByteStream, ownOf, peerOf } from "./stream.ts";
import { type WebStreams, webStreams } from "./web-streams.ts";
import { Wire, type WireOptions } from "./wire.ts";
import { checkSendable, type Sendable } from "./writer.ts";

/** A message of an armed socket. `"tcp-error"` is followed by `"socket-closed"`, which is always the last. */
export type TcpMessage =
  | { readonly type: "packet"; readonly socket: Socket; readonly data: Buffer }
  | { readonly type: "socket-closed"; readonly socket: Socket }
  | { readonly type: "tcp-error"; readonly socket: Socket; readonly error: MugError };

/**
 * A connected socket. `await using` closes it, `for await` yields packets until the peer's FIN. No promise of a socket
 * causes an unhandled rejection: ignore what you do not need.
 */
export class Socket implements AsyncIterable<Buffer>, AsyncDisposable {
  readonly #wire: Wire;
  readonly #active: ActiveMode<TcpMessage>;
  readonly #maxReceive: number;
  readonly #peer: Address;
  readonly #own: Address;

  /** @internal Use `connect` or `over`. `stream` is `raw` or a TLS stream over it. */
  constructor(raw: ByteStream, stream: Duplex, options: WireOptions) {
    this.#maxReceive = options.maxReceive ?? defaults.maxReceive;
    this.#peer = peerOf(raw, options.path ?? "");
    this.#own = ownOf(raw);
    const wire = new Wire(raw, stream, options, () => {
      if (this.#active.state !== "passive") this.#active.pump();
    });
    this.#wire = wire;
    this.#active = new ActiveMode<TcpMessage>({
      takePacket: () => wire.takePacket(),
      get ended() {
        return wire.reader.ended;
      },
      packet: (data) => ({ type: "packet", socket: this, data }),
      lastMessages: (error) => [
        ...(error.code === "closed" ? [] : [{ type: "tcp-error", socket: this, error } as const]),
        { type: "socket-closed", socket: this },
      ],
    });
  }

  /** Resolves when the connection is gone, for whatever reason; never rejects. */
  get closed(): Promise<void> {
    return this.#wire.closed;
  }

  // ---- sending

  /**
   * Sends bytes, UTF-8 text, or an array of them as one write. Resolves at once while the peer keeps up, else when the
   * backlog has drained, also if this side finishes sending meanwhile. Do not change bytes after handing them over. A
   * timeout or a signal ends the waiting only: the bytes still leave. Code `closed` after this side has finished.
   */
  send(data: Sendable, options?: WaitOptions): Promise<void> {
    checkSendable(data);
    if (options !== undefined) checkOptions(options, waitChecks);
    return this.#wire.writer.send(data, options);
  }

  /** Resolves when the operating system (or the Duplex) has taken all bytes sent so far. */
  flush(options?: WaitOptions): Promise<void> {
    if (options !== undefined) checkOptions(options, waitChecks);
    return this.#wire.writer.flush(options);
  }

  // ---- receiving

  /** What is there, at least one byte; waits for the next packet if there is none. Code `closed` at the end. */
  receive(options?: WaitOptions): Promise<Buffer> {
    return this.#receive(anyBytes, options);
  }

  /** Exactly `size` bytes. If the end comes first: code `closed`, and `receive` still returns what came. */
  receiveExact(size: number, options?: WaitOptions): Promise<Buffer> {
    checkInteger(size, "size", 0, this.#maxReceive);
    return this.#receive({ kind: "exact", what: "receiveExact", size }, options);
  }

  /**
   * Everything through the first `delimiter`, delimiter included. Code `emsgsize` if that is more than `max` bytes
   * (default 65 536). A failure consumes nothing.
   */
  receiveUntil(delimiter: string | Uint8Array, options?: CollectOptions): Promise<Buffer> {
    const max = this.#max(options, defaults.maxUntil);
    isBytes(delimiter, "delimiter");
    if (delimiter.length === 0) throw new UsageError("delimiter must not be empty");
    // A copy: the caller may change its bytes while the call waits.
    const bytes = Buffer.from(delimiter as Uint8Array);
    return this.#receive({ kind: "until", what: "receiveUntil", delimiter: bytes, max }, options);
  }

  /** A line of UTF-8 text without its ending, LF or CR LF. `max` (default 65 536) includes the ending. */
  receiveLine(options?: CollectOptions): Promise<string> {
    const max = this.#max(options, defaults.maxUntil);
    const line = this.#receive({ kind: "until", what: "receiveLine", delimiter: lineFeed, max }, options);
    return handled(line.then(textOfLine));
  }

  /** Everything up to the peer's FIN; `max` bytes at most (default: the socket's `maxReceive`). */
  receiveToEnd(options?: CollectOptions): Promise<Buffer> {
    const max = this.#max(options, this.#maxReceive);
    return this.#receive({ kind: "rest", what: "receiveToEnd", max }, options);
  }

  /** Puts bytes back: the next receive returns them first. */
  unreceive(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) refuse("bytes", "a Uint8Array", bytes);
    this.#wire.reader.inbound.unshift(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  /** Packets until the peer's FIN; other ends throw. Leaving the loop leaves the socket open. */
  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => {
        // Marked only when it fails: on the path of every packet.
        const packet: Promise<IteratorResult<Buffer, undefined>> = this.receive().then(
          nextPacket,
          (error) => {
            handled(packet);
            return endOfPackets(error);
          },
        );
        return packet;
      },
      return: () => Promise.resolve(noMorePackets),
    };
  }

  // ---- active mode

  /** Arms the socket: the next packet goes to the subscribers, then the socket is passive again. */
  receiveNextPacketAsMessage(): void {
    this.#arm("once");
  }

  /** Arms the socket for every packet. Nothing then holds the peer back. */
  receiveAllPacketsAsMessages(): void {
    this.#arm("active");
  }

  /** Makes the socket passive; packets not delivered yet can be received. */
  stopReceivingPacketsAsMessages(): void {
    this.#arm("passive");
  }

  /** Whether packets come as messages: none (`"passive"`), the next one (`"once"`), or all (`"active"`). */
  get activeState(): ActiveState {
    return this.#active.state;
  }

  /**
   * Hands the messages of the armed socket to `receiver`, in order. Returns a function that unsubscribes. A receiver
   * that throws or rejects causes a process warning (`MugCallbackWarning`); the socket and other receivers carry on.
   */
  subscribe(receiver: (message: TcpMessage) => void): () => void {
    isFunction(receiver, "receiver");
    return this.#active.subscribe(receiver);
  }

  // ---- ending

  /** Flushes and sends FIN; receiving continues. Resolves when the FIN has been handed over. */
  halfClose(): Promise<void> {
    return this.#wire.halfClose();
  }

  /**
   * Flushes, then ends both directions: send and receive are `closed` from now on. What the peer still sends is read
   * and dropped until its FIN, for at most a second, because unread bytes would turn the FIN into a reset.
   */
  shutdown(): Promise<void> {
    return handled(this.#wire.shutdown());
  }

  /**
   * Flushes, sends FIN and releases the socket without waiting for the peer. Bytes that cannot leave within `timeout`
   * (milliseconds, default 5000; 0 flushes nothing) are dropped. Resolves when the socket is gone; never rejects.
   */
  close(options: { readonly timeout?: number | undefined } = {}): Promise<void> {
    checkOptions(options, { timeout: isTimeout });
    return this.#wire.close(options.timeout ?? defaults.closeTimeout);
  }

  /**
   * Ends the connection with RST and drops what was not sent. Destroys the stream where RST is impossible: on a unix
   * socket, over a TLS socket of Node or a Duplex without `resetAndDestroy`, and when a FIN already waits behind bytes
   * that the peer does not take.
   */
  reset(): Promise<void> {
    return this.#wire.reset();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return clock.until(this.close());
  }

  // ---- TLS

  /**
   * Switches this connection to TLS (STARTTLS). Verifies the host it is connected to, unless `serverName` names
   * another. Sending during the handshake is `einprogress`; a failed handshake ends the connection. Plain text that
   * the peer sent ahead of the handshake could have been injected by anyone, hence code `eproto`.
   */
  startTls(options: TlsOptions & WaitOptions = {}): Promise<void> {
    checkOptions(options, startTlsChecks);
    const { timeout, signal, ...tls } = options;
    checkTls(tls);
    if (this.#active.state !== "passive")
      throw new UsageError("startTls cannot begin while the socket is armed");
    return this.#wire.startTls(tls, { timeout, signal });
  }

  /** True once the connection is encrypted. */
  get encrypted(): boolean {
    return this.#wire.tls !== undefined;
  }

  /** The protocol that ALPN agreed on; undefined: none. */
  get alpnProtocol(): string | undefined {
    return this.#wire.tls?.alpnProtocol || undefined;
  }

  /** For example `"TLSv1.3"`; undefined without TLS. */
  get tlsVersion(): string | undefined {
    return this.#wire.tls?.getProtocol() ?? undefined;
  }

  /** The certificate the peer showed and that was verified, with its issuers; undefined: not verified, or no TLS. */
  peerCertificate(): PeerCertificate | undefined {
    const { tls } = this.#wire;
    return tls?.authorized ? tls.getPeerCertificate(true) : undefined;
  }

  // ---- facts

  /** The peer's address and port, or the path of its unix socket; still known when the connection is gone. */
  peername(): Address {
    return this.#peer;
  }

  /** The address of this end, likewise. */
  sockname(): Address {
    return this.#own;
  }

  /** Bytes that arrived from the peer, TLS records included; over a Duplex that does not count, without TLS's own. */
  get bytesRead(): number {
    return this.#wire.raw.bytesRead ?? this.#wire.received;
  }

  /** Bytes sent or waiting to be sent, likewise. */
  get bytesWritten(): number {
    return this.#wire.raw.bytesWritten ?? this.#wire.writer.flow.written;
  }

  /** Bytes that have arrived and were not received yet. */
  get bytesAvailable(): number {
    return this.#wire.reader.inbound.length;
  }

  /** Bytes handed to `send` that the operating system has not taken yet. */
  get bufferedAmount(): number {
    return this.#wire.writer.flow.buffered;
  }

  /** Web streams over this socket: closing the writable half-closes, aborting it resets. */
  toWeb(): WebStreams {
    return webStreams(this);
  }

  // ---- inside

  #receive(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    if (options !== undefined) {
      const collects = request.kind === "until" || request.kind === "rest";
      checkOptions(options, collects ? collectChecks : waitChecks);
    }
    if (this.#active.state === "passive") return this.#wire.receive(request, options);
    return rejected(new MugError("einval", "the socket is armed: its packets come as messages"));
  }

  #max(options: CollectOptions | undefined, fallback: number): number {
    if (options?.max === undefined) return Math.min(fallback, this.#maxReceive);
    checkInteger(options.max, "max", 0, this.#maxReceive);
    return options.max;
  }

  #arm(state: ActiveState): void {
    if (this.#wire.reader.waiting)
      throw new UsageError("active mode cannot change while a receive is waiting");
    this.#active.arm(state);
  }
}

const noMorePackets: IteratorResult<Buffer, undefined> = { value: undefined, done: true };

function nextPacket(value: Buffer): IteratorResult<Buffer, undefined> {
  return { value, done: false };
}

function endOfPackets(error: unknown): IteratorResult<Buffer, undefined> {
  if (error instanceof MugError && error.code === "closed") return noMorePackets;
  throw error;
}

const lineFeed: Buffer = Buffer.from("\n");

function textOfLine(line: Buffer): string {
  const ending = line.at(-2) === 0x0d ? 2 : 1;
  return line.toString("utf8", 0, line.length - ending);
}
