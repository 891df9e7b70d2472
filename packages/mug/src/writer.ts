/**
 * The sending half of a socket: bytes go to the stream at once, in order; promises only say how far they got.
 */

import type { Socket as NetSocket } from "node:net";
import { startTimeout } from "./deadline.ts";
import { abortedError, DeadlineError, MugError, toMugError, UsageError } from "./errors.ts";
import { checkWait, type WaitOptions } from "./options.ts";
import { renewed } from "./reader.ts";
import type { Tap } from "./tap.ts";

/** What `send` takes; an array leaves as one write. Strings are UTF-8. */
export type Sendable = string | Uint8Array | readonly (string | Uint8Array)[];

/** Shared by all sends whose bytes went straight through: the common case allocates no promise. */
const SENT: Promise<void> = Promise.resolve();
const NOTHING: Uint8Array = new Uint8Array(0);

interface Drainer {
  resolve(): void;
  reject(error: MugError): void;
}

export class Writer {
  readonly #tap: Tap | undefined;
  #stream: NetSocket;
  /** Why nothing more can be sent. */
  #ended: MugError | undefined;
  #finished: Promise<void> | undefined;
  /** Set while nothing may be sent: plain text behind a TLS handshake that has begun would leave in the clear. */
  held: MugError | undefined;
  /** FIN was asked for and has not left yet. */
  #finishing = false;
  readonly #drainers: Set<Drainer> = new Set();
  #draining: Promise<void> | undefined;

  constructor(stream: NetSocket, tap: Tap | undefined) {
    this.#stream = stream;
    this.#tap = tap;
  }

  get buffered(): number {
    return this.#stream.writableLength;
  }

  get finishing(): boolean {
    return this.#finishing;
  }

  /** The stream below has been replaced (by TLS over it). */
  moveTo(stream: NetSocket): void {
    this.#stream = stream;
  }

  /** Sends. Resolves at once while the stream takes more, else when it has drained. */
  send(data: Sendable, options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait(options);
    if (typeof data !== "string" && !(data instanceof Uint8Array)) checkPieces(data);
    const refused = this.#ended ?? this.held;
    if (refused !== undefined) return Promise.reject(renewed(refused, "send"));
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(abortedError("send", signal));
    const below =
      typeof data === "string" || data instanceof Uint8Array ? this.#write(data) : this.#writeAll(data);
    if (below) return SENT;
    return options === undefined ? this.#untilDrained() : this.#waitForDrain(options);
  }

  /** One promise for all sends that wait without a limit of their own. */
  #untilDrained(): Promise<void> {
    this.#draining ??= new Promise((resolve, reject) => {
      this.#drainers.add({ resolve, reject });
    });
    return this.#draining;
  }

  #waitForDrain(options: WaitOptions): Promise<void> {
    return this.#waitFor("send", options, (drainer) => {
      this.#drainers.add(drainer);
      return () => this.#drainers.delete(drainer);
    });
  }

  /** Resolves when the operating system has taken everything sent so far. */
  flush(options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait(options);
    if (this.#stream.writableLength === 0) return SENT;
    if (options?.signal?.aborted) return Promise.reject(abortedError("flush", options.signal));
    if (this.#finished !== undefined) return this.#finished;
    return this.#waitFor("flush", options, (drainer) => {
      this.#stream.write(NOTHING, (error) => (error ? drainer.reject(toMugError(error)) : drainer.resolve()));
      return () => {};
    });
  }

  /** Flushes and sends FIN; nothing can be sent afterwards. */
  finish(): Promise<void> {
    this.#finished ??= new Promise((resolve, reject) => {
      this.#finishing = true;
      this.#stream.end((error?: Error | null) => {
        this.#finishing = false;
        if (error) reject(toMugError(error));
        else resolve();
      });
      this.#ended ??= new MugError("closed", "this side has finished sending");
    });
    return this.#finished;
  }

  drained(): void {
    if (this.#drainers.size === 0) return;
    this.#draining = undefined;
    for (const drainer of this.#drainers) drainer.resolve();
    this.#drainers.clear();
  }

  /** The connection is gone. The first reason stands. */
  end(reason: MugError): void {
    this.#ended ??= reason;
    for (const drainer of this.#drainers) drainer.reject(renewed(reason, "send"));
    this.#drainers.clear();
  }

  #write(data: string | Uint8Array): boolean {
    this.#tap?.sent?.(data);
    return this.#stream.write(data);
  }

  /** Corked, so that the pieces leave together (writev) without being copied into one. */
  #writeAll(pieces: readonly (string | Uint8Array)[]): boolean {
    this.#stream.cork();
    for (const piece of pieces) if (piece.length > 0) this.#write(piece);
    this.#stream.uncork();
    return !this.#stream.writableNeedDrain;
  }

  #waitFor(
    what: string,
    options: WaitOptions | undefined,
    start: (drainer: Drainer) => () => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const { timeout = Number.POSITIVE_INFINITY, signal } = options ?? {};
      const settle = (done: () => void): void => {
        cancel();
        signal?.removeEventListener("abort", onAbort);
        forget();
        done();
      };
      const fail = (error: MugError): void => settle(() => reject(error));
      const onAbort = (): void => fail(abortedError(what, signal!));
      const forget = start({ resolve: () => settle(resolve), reject: fail });
      const cancel = startTimeout(timeout, () => fail(new DeadlineError(what, timeout)));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}

function checkPieces(data: unknown): void {
  if (!Array.isArray(data)) throw new UsageError("send takes a string, bytes, or an array of them");
  for (const piece of data) {
    if (typeof piece !== "string" && !(piece instanceof Uint8Array)) {
      throw new UsageError("send takes strings and bytes only");
    }
  }
}
