// What was published and not yet taken by the engine: bounded in bytes and age, sent again in order after a reconnect.
//
// This is the one queue between topics and a relay. An engine that hangs (a stopped process, a dropped network) keeps
// its connection open and takes nothing: the bound holds then, too. A message that is sent twice because its
// acknowledgement was lost is dropped by its receivers, who know publisher and sequence.

import { clock } from "@x/glisten/kit";
import type { Relay } from "./relay.ts";

/** Why a message was not handed to the relay, or not taken by it. */
export type Undelivered = "full" | "expired" | "refused";

/** A message that waits for the engine. */
interface Entry {
  readonly topic: string;
  readonly bytes: Uint8Array;
  /** When it was published, in milliseconds of the clock. */
  readonly at: number;
  /** How often it was given to the relay. */
  attempts: number;
}

/** What an {@link Outbox} is made of. */
export interface OutboxOptions {
  /** Bytes that may wait for the engine. */
  readonly maxBytes: number;
  /** How long a message may wait while the engine is away. */
  readonly maxAgeMs: number;
  /** Told of every message that is dropped. */
  readonly dropped: (topic: string, reason: Undelivered, cause?: unknown) => void;
  /** Milliseconds of a clock that only moves forward. Default: the clock of glisten. */
  readonly now?: (() => number) | undefined;
}

/** Publishes to a relay; keeps what its engine has not taken yet. */
export class Outbox {
  readonly #relay: Pick<Relay, "publish">;
  readonly #options: OutboxOptions;
  readonly #now: () => number;
  /** In the order of publishing. */
  readonly #entries = new Set<Entry>();
  #bytes = 0;
  #connected = false;
  #drained: (() => void)[] = [];

  constructor(relay: Pick<Relay, "publish">, options: OutboxOptions) {
    this.#relay = relay;
    this.#options = options;
    this.#now = options.now ?? clock.now;
  }

  /** Bytes of messages that the engine has not taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sends now, or when the engine is back. What does not fit is dropped. */
  publish(topic: string, bytes: Uint8Array): void {
    if (this.#bytes + bytes.length > this.#options.maxBytes) this.#expire();
    if (this.#bytes + bytes.length > this.#options.maxBytes) {
      this.#options.dropped(topic, "full");
      return;
    }
    const entry: Entry = { topic, bytes, at: this.#now(), attempts: 0 };
    this.#entries.add(entry);
    this.#bytes += bytes.length;
    if (this.#connected) this.#send(entry);
  }

  /** The engine is there: everything that it has not taken is sent again, oldest first. */
  connected(): void {
    if (this.#connected) return;
    this.#expire();
    this.#connected = true;
    for (const entry of this.#entries) {
      if (!this.#connected) break;
      this.#send(entry);
    }
  }

  disconnected(): void {
    this.#connected = false;
  }

  /** Resolves once the engine has taken everything. */
  drained(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  #send(entry: Entry): void {
    const attempt = ++entry.attempts;
    const refused = (error: unknown): void => {
      // After a reconnect only the newest attempt counts. While disconnected, the message waits for the next one.
      if (!this.#connected || attempt !== entry.attempts || !this.#remove(entry)) return;
      this.#options.dropped(entry.topic, "refused", error);
    };
    let taken: Promise<void> | void;
    try {
      taken = this.#relay.publish(entry.topic, entry.bytes);
    } catch (error) {
      refused(error);
      return;
    }
    if (taken === undefined) this.#remove(entry);
    else taken.then(() => this.#remove(entry), refused);
  }

  /** Drops what has waited too long. What the engine may already have is left to it. */
  #expire(): void {
    if (this.#connected) return;
    const oldest = this.#now() - this.#options.maxAgeMs;
    for (const entry of this.#entries) {
      if (entry.at >= oldest) break;
      this.#remove(entry);
      this.#options.dropped(entry.topic, "expired");
    }
  }

  #remove(entry: Entry): boolean {
    if (!this.#entries.delete(entry)) return false;
    this.#bytes -= entry.bytes.length;
    if (this.#entries.size === 0) for (const resolve of this.#drained.splice(0)) resolve();
    return true;
  }
}
