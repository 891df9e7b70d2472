// A connected socket that gives bytes when asked.
//
// Owns the bytes that have arrived and the calls that wait for them, in order; sends and their timeout; half-close,
// close; active mode. Nothing is read from the kernel while no call waits, so a slow reader slows its peer; a call that
// times out consumes nothing.

import type { Socket } from "node:net";
import { clock } from "../clock.ts";
import { TransportError, UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { type BoundAddress, type Endpoint, endpoint } from "../transport/address.ts";
import { ByteQueue } from "../transport/byte-queue.ts";
import { type Sendable, writeParts } from "../transport/sendable.ts";
import {
  type ActiveMode,
  type SocketOptions,
  type SocketSettings,
  withSocketOptions,
} from "../transport/socket-options.ts";
import { type Waiter, type WaitOptions, wait } from "./wait.ts";

/** A message of an active socket to its controlling process. */
export type SocketMessage =
  | { readonly type: "packet"; readonly socket: PassiveSocket; readonly data: Buffer }
  /** The count of `{ count }` is used up; the socket is passive again. */
  | { readonly type: "passive"; readonly socket: PassiveSocket }
  | { readonly type: "error"; readonly socket: PassiveSocket; readonly reason: TransportError["code"] }
  | { readonly type: "closed"; readonly socket: PassiveSocket };

/** The receiver of socket messages: any Subject of them. */
export interface ControllingProcess {
  /** Called for every message, and never waited for. */
  send(message: SocketMessage): void;
}

interface Receiver extends Waiter<Buffer> {
  readonly length: number;
}

/** The most `receive` can be asked for at once: 64 MiB. */
export const maxReceiveBytes = 0x4000000;

/** A passive socket: accepted, and driven by its owner's calls. `tcp` and `tls` sockets are such. */
export class PassiveSocket {
  protected raw: Socket;
  #settings: SocketSettings;
  readonly #onUnix: boolean;
  readonly #local: BoundAddress | undefined;
  readonly #peer: Endpoint | undefined;
  readonly #arrived: ByteQueue = new ByteQueue();
  /** False before a TLS handshake: no bytes may be sent or received. */
  protected attached = false;
  #receivers: Receiver[] = [];
  #owner: ControllingProcess | undefined;
  /** Why nothing more will arrive. */
  #ending: TransportError | undefined;
  /** Packets still to be sent to the owner in active mode. */
  #credit = 0;

  /** @internal Accepted by a listener. */
  constructor(raw: Socket, settings: SocketSettings, listener: BoundAddress) {
    this.raw = raw;
    this.#settings = settings;
    this.#onUnix = listener.type === "unix";
    // Asked for now: once the peer has gone the kernel no longer knows.
    this.#peer = endpoint(raw.remoteAddress, raw.remotePort);
    const local = endpoint(raw.localAddress, raw.localPort);
    this.#local = this.#onUnix ? listener : local && { type: "tcp", ...local };
    if (!this.#onUnix && !settings.nodelay) raw.setNoDelay(false);
  }

  /** From here on `raw` carries the bytes: the accepted socket, or the encrypted one around it. */
  protected attach(raw: Socket): void {
    this.raw = raw;
    this.attached = true;
    raw.on("data", (chunk: Buffer) => {
      this.#arrived.push(chunk);
      this.#serve();
    });
    raw.pause();
    raw.on("end", () => this.#finish(new TransportError("closed")));
    raw.on("error", (error) => this.#finish(TransportError.from(error)));
    raw.on("close", () => this.#finish(new TransportError("closed")));
  }

  /** True once the socket is closed, by us or entirely. */
  get closed(): boolean {
    return this.raw.destroyed;
  }

  /**
   * Waits for bytes. `length` 0 (the default) takes whatever is there, as soon as anything is; more takes exactly
   * that many. After a timeout nothing is lost: the next `receive` sees the bytes. Calls are served in order.
   *
   * @throws TransportError (rejects): `"closed"` when the peer is done and too little is left, `"einval"` while
   *   the socket is active, `"enomem"` above 64 MiB, `"enotconn"` before a TLS handshake, or why the connection
   *   broke. DeadlineError after `timeout`; the signal's reason when it aborts.
   */
  receive(length = 0, options: WaitOptions = {}): Promise<Buffer> {
    if (!Number.isInteger(length) || length < 0) {
      throw new UsageError(`length must be an integer of at least 0, got ${shown(length)}`);
    }
    if (length > maxReceiveBytes) return Promise.reject(new TransportError("enomem"));
    if (!this.attached) return Promise.reject(new TransportError("enotconn"));
    if (this.#settings.activeMode !== "passive") return Promise.reject(new TransportError("einval"));
    return wait("receive", options, (waiter) => {
      const receiver: Receiver = { ...waiter, length };
      this.#receivers.push(receiver);
      this.#serve();
      return () => {
        this.#receivers = this.#receivers.filter((each) => each !== receiver);
        this.#serve();
      };
    });
  }

  /** Gives out what can be given, and reads on only if somebody still waits. */
  #serve(): void {
    while (this.#receivers.length > 0 && this.#serveFirst());
    this.#serveOwner();
    if (this.#receivers.length > 0 || this.#credit > 0) this.raw.resume();
    else this.raw.pause();
  }

  #serveFirst(): boolean {
    const first = this.#receivers[0]!;
    const enough = this.#arrived.length >= Math.max(first.length, 1);
    if (!enough && this.#ending === undefined) return false;
    this.#receivers.shift();
    if (enough) first.resolve(this.#arrived.take(first.length));
    else first.reject(this.#ending);
    return true;
  }

  #serveOwner(): void {
    while (this.#credit > 0 && this.#arrived.length > 0) {
      this.#credit -= 1;
      const usedUp = this.#credit === 0;
      const counted = typeof this.#settings.activeMode === "object";
      if (usedUp) this.#becomePassive();
      this.#tell({ type: "packet", socket: this, data: this.#arrived.take(0) });
      if (usedUp && counted) this.#tell({ type: "passive", socket: this });
    }
    if (this.#credit > 0 && this.#ending !== undefined) this.#tellEnding(this.#ending);
  }

  #tellEnding({ code }: TransportError): void {
    this.#becomePassive();
    if (code !== "closed") this.#tell({ type: "error", socket: this, reason: code });
    this.#tell({ type: "closed", socket: this });
  }

  #tell(message: SocketMessage): void {
    this.#owner?.send(message);
  }

  #becomePassive(): void {
    this.#credit = 0;
    this.#settings = { ...this.#settings, activeMode: "passive" };
  }

  #finish(why: TransportError): void {
    this.#ending ??= why;
    this.#serve();
  }

  /**
   * Sends bytes; several leave in one write. Resolves once the kernel has taken them all.
   *
   * @throws TransportError (rejects): `"closed"` after `shutdown` or `close`, `"enotconn"` before a TLS
   *   handshake, or why the connection broke. DeadlineError after `sendTimeout`; the socket is closed then,
   *   unless `sendTimeoutClose` is false: the bytes are still on their way in that case.
   */
  send(data: Sendable): Promise<void> {
    if (!this.attached) return Promise.reject(new TransportError("enotconn"));
    if (!this.raw.writable) return Promise.reject(this.#sendFailure());
    const parts = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
    if (parts.length === 0) return Promise.resolve();
    return this.#bounded("send", (done) => writeParts(this.raw, parts, "utf8", done));
  }

  #sendFailure(): TransportError {
    return this.#ending ?? new TransportError("closed");
  }

  /** Runs a write under `sendTimeout`. */
  #bounded(what: string, write: (done: (error?: Error | null) => void) => void): Promise<void> {
    return wait<void>(what, { timeout: this.#settings.sendTimeout }, (waiter) => {
      write((error) => (error ? waiter.reject(TransportError.from(error)) : waiter.resolve()));
      return () => {
        if (this.#settings.sendTimeoutClose) this.raw.destroy();
      };
    });
  }

  /** Sends FIN behind everything that was sent; receiving goes on. */
  shutdown(): Promise<void> {
    if (!this.attached) return Promise.reject(new TransportError("enotconn"));
    if (!this.raw.writable) return Promise.reject(this.#sendFailure());
    return this.#bounded("shutdown", (done) => {
      this.raw.end(done);
    });
  }

  /**
   * Closes both ways, after what was sent has left: within `sendTimeout`, then regardless. With `linger` on it
   * resets at once. Pending `receive` calls reject with `"closed"`. A second call waits for the first.
   */
  async close(): Promise<void> {
    this.#stopReceiving();
    if (this.raw.destroyed) return;
    const gone = new Promise<void>((resolve) => this.raw.once("close", () => resolve()));
    if (this.#settings.linger.enabled) this.#reset();
    else this.raw.destroySoon();
    const { sendTimeout } = this.#settings;
    const bounded = sendTimeout === Number.POSITIVE_INFINITY ? undefined : sendTimeout;
    const timer = bounded === undefined ? undefined : clock.setTimer(() => this.raw.destroy(), bounded);
    await gone;
    clock.clearTimer(timer);
  }

  #stopReceiving(): void {
    this.#ending = new TransportError("closed");
    this.#arrived.clear();
    this.#serve();
    // Discards what still arrives: unread, it would hide the FIN behind it.
    this.raw.removeAllListeners("data");
    this.raw.resume();
  }

  #reset(): void {
    if (this.#onUnix) this.raw.destroy();
    else this.raw.resetAndDestroy();
  }

  /**
   * Sets options on the open socket.
   *
   * @throws UsageError for what cannot be set here, or to that value.
   */
  setOptions(options: SocketOptions): void {
    const settings = withSocketOptions(this.#settings, options, this.#onUnix);
    const { activeMode } = options;
    if (activeMode !== undefined) this.#requireOwner(activeMode);
    this.#settings = settings;
    if (options.nodelay !== undefined) this.raw.setNoDelay(options.nodelay);
    if (activeMode !== undefined) this.#activate(activeMode);
  }

  #requireOwner(mode: ActiveMode): void {
    if (mode === "passive" || this.#owner !== undefined) return;
    throw new UsageError(
      "an active socket needs a controlling process: call controllingProcess(subject) first",
    );
  }

  #activate(mode: ActiveMode): void {
    this.#credit = typeof mode === "object" ? mode.count : { passive: 0, once: 1, active: Infinity }[mode];
    this.#serve();
  }

  /** The options in force. */
  options(): Readonly<SocketSettings> {
    return { ...this.#settings };
  }

  /**
   * The peer's address and port.
   *
   * @throws TransportError `"enotconn"` on a unix socket, and when the peer was gone before it was accepted.
   */
  peername(): Endpoint {
    if (this.#peer === undefined) throw new TransportError("enotconn");
    return this.#peer;
  }

  /** Our own end: address and port, or the path of the unix socket. */
  sockname(): BoundAddress {
    if (this.#local === undefined) throw new TransportError("enotconn");
    return this.#local;
  }

  /** Sets the receiver of what arrives once the socket is active. */
  controllingProcess(owner: ControllingProcess): void {
    this.#owner = owner;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.close());
  }
}
