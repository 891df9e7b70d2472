// The receiving half of a socket: at most one receive waits at a time, is answered as soon as the queue can, and
// leaves the queue untouched when it times out, is aborted or meets the end. Knows no stream: packets and the end are
// told to it.

import { DeadlineTimer } from "../deadline.ts";
import { abortedError, DeadlineError, MugError, renewed } from "../errors.ts";
import type { WaitOptions } from "../options.ts";
import { handled, rejected } from "../unhandled.ts";
import { Inbound, tooLong } from "./inbound.ts";

/** What a receive asks for. */
export type ReceiveRequest =
  | { readonly kind: "any"; readonly what: string }
  | { readonly kind: "exact"; readonly what: string; readonly size: number }
  | { readonly kind: "until"; readonly what: string; readonly delimiter: Buffer; readonly max: number }
  | { readonly kind: "rest"; readonly what: string; readonly max: number };

export const anyBytes: ReceiveRequest = { kind: "any", what: "receive" };

interface Waiter {
  readonly request: ReceiveRequest;
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: MugError) => void;
  promise: Promise<Buffer> | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
}

export class Reader {
  readonly inbound: Inbound = new Inbound();
  readonly #highWaterMark: number;
  readonly #timer: DeadlineTimer = new DeadlineTimer(() => this.#timedOut());
  #waiter: Waiter | undefined;
  /** Why no further bytes will come. */
  #ended: MugError | undefined;

  constructor(highWaterMark: number) {
    this.#highWaterMark = highWaterMark;
  }

  get ended(): MugError | undefined {
    return this.#ended;
  }

  get waiting(): boolean {
    return this.#waiter !== undefined;
  }

  /** False asks the socket to stop reading. */
  get hungry(): boolean {
    return this.#waiter !== undefined || this.inbound.length < this.#highWaterMark;
  }

  /** A packet has arrived. */
  packet(chunk: Buffer): void {
    const waiter = this.#waiter;
    if (waiter === undefined) {
      this.inbound.push(chunk);
      return;
    }
    if (this.inbound.length === 0 && isAnswer(waiter.request, chunk)) {
      this.#release(waiter);
      waiter.resolve(chunk);
      return;
    }
    this.inbound.push(chunk);
    this.#answer(waiter);
  }

  /** No more packets will come. The first reason stands. */
  end(reason: MugError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    if (this.#waiter !== undefined) this.#answer(this.#waiter);
    this.#timer.stop();
  }

  /** Drops what was held and refuses from now on; the new reason replaces an earlier one. */
  discard(reason: MugError): void {
    this.inbound.clear();
    this.#ended = undefined;
    this.end(reason);
  }

  /** Answers now if it can, else waits. */
  receive(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    if (this.#waiter !== undefined) {
      return rejected(new MugError("ealready", "another receive is waiting on this socket"));
    }
    const signal = options?.signal;
    if (signal?.aborted) return rejected(abortedError(request.what, signal));
    const taken = this.#take(request);
    if (taken === undefined) return this.#wait(request, options);
    return taken instanceof MugError ? rejected(taken) : Promise.resolve(taken);
  }

  #wait(request: ReceiveRequest, options: WaitOptions | undefined): Promise<Buffer> {
    let waiter: Waiter;
    const promise = new Promise<Buffer>((resolve, reject) => {
      const timeoutMs = options?.timeout ?? Number.POSITIVE_INFINITY;
      const signal = options?.signal;
      waiter = { request, resolve, reject, promise: undefined, timeoutMs, signal, onAbort: undefined };
      this.#waiter = waiter;
      if (timeoutMs !== Number.POSITIVE_INFINITY) this.#timer.set(timeoutMs);
      if (signal === undefined) return;
      waiter.onAbort = () => this.#fail(waiter, abortedError(request.what, signal));
      signal.addEventListener("abort", waiter.onAbort, { once: true });
    });
    waiter!.promise = promise;
    return promise;
  }

  /** Bytes, the error in their place, or undefined for "not yet". */
  #take(request: ReceiveRequest): Buffer | MugError | undefined {
    const taken = this.#takeBytes(request);
    if (taken === tooLong) return new MugError("emsgsize", tooLongMessage(request));
    if (taken !== undefined || this.#ended === undefined) return taken;
    return renewed(this.#ended, request.what);
  }

  #takeBytes(request: ReceiveRequest): Buffer | typeof tooLong | undefined {
    switch (request.kind) {
      case "any":
        return this.inbound.takeAny();
      case "exact":
        return this.inbound.takeExact(request.size);
      case "until":
        return this.inbound.takeUntil(request.delimiter, request.max);
      case "rest":
        if (this.inbound.length > request.max) return tooLong;
        return this.#ended?.code === "closed" ? this.inbound.takeRest(request.max) : undefined;
    }
  }

  #answer(waiter: Waiter): void {
    const taken = this.#take(waiter.request);
    if (taken === undefined) return;
    if (taken instanceof MugError) {
      this.#fail(waiter, taken);
      return;
    }
    this.#release(waiter);
    waiter.resolve(taken);
  }

  #fail(waiter: Waiter, error: MugError): void {
    this.#release(waiter);
    // Only now: a receive that succeeds pays nothing for it.
    if (waiter.promise !== undefined) handled(waiter.promise);
    waiter.reject(error);
  }

  #release(waiter: Waiter): void {
    this.#waiter = undefined;
    if (waiter.timeoutMs !== Number.POSITIVE_INFINITY) this.#timer.clear();
    if (waiter.onAbort !== undefined) waiter.signal?.removeEventListener("abort", waiter.onAbort);
  }

  #timedOut(): void {
    const waiter = this.#waiter;
    if (waiter !== undefined) this.#fail(waiter, new DeadlineError(waiter.request.what, waiter.timeoutMs));
  }
}

/** True when the packet by itself is the answer; then it skips the queue. */
function isAnswer(request: ReceiveRequest, chunk: Buffer): boolean {
  return request.kind === "any" || (request.kind === "exact" && request.size === chunk.length);
}

function tooLongMessage(request: ReceiveRequest): string {
  const { max } = request as { readonly max: number };
  return request.kind === "until"
    ? `the delimiter did not come within ${max} bytes`
    : `the peer sent more than ${max} bytes`;
}
