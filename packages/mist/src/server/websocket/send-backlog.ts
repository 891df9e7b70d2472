// What a WebSocket's writer holds for a peer that does not keep up, or behind a message that zlib's threads are at
// work on. A peer that keeps up, and sends and gets nothing large, never has one.

import type { Buffer } from "node:buffer";
import { newWaiter, type Waiter } from "../body/sent.ts";

/** Something to be sent once the message before it has been compressed. */
export interface Queued {
  /** Bytes. */
  readonly size: number;
  run(): void;
  abandon(error: unknown): void;
}

export class SendBacklog {
  readonly #queue: Queued[] = [];
  #waiter: Waiter | undefined;
  /** Bytes in the queue and with zlib's threads. */
  bytes = 0;
  /** The answer to a ping that came while the peer took nothing: only the last is owed (RFC 6455 §5.5.3). */
  latePong: Buffer | undefined;

  enqueue(item: Queued): void {
    this.#queue.push(item);
    this.bytes += item.size;
  }

  /** The longest waiting, which waits no more. */
  shift(): Queued | undefined {
    const item = this.#queue.shift();
    if (item !== undefined) this.bytes -= item.size;
    return item;
  }

  /** Resolves at the next `release`. */
  get released(): Promise<void> {
    this.#waiter ??= newWaiter();
    return this.#waiter.promise;
  }

  /** The peer has taken what was written. */
  release(): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve();
  }

  /** Nothing of it will be sent any more. */
  abandon(error: unknown): void {
    for (const item of this.#queue) item.abandon(error);
    this.#queue.length = 0;
    this.#waiter?.reject(error);
  }
}
