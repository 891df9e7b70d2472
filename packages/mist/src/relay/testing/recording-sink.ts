// A sink that keeps everything, and can be waited for.

import { AssertionError } from "node:assert/strict";
import type { RelaySink } from "../relay.ts";

/** Longer than any client waits between two attempts to connect. */
const patienceMs = 15_000;

/** Keeps what a relay reports. */
export class RecordingSink implements RelaySink {
  readonly #received = new Map<string, { readonly messages: Uint8Array[]; readonly texts: string[] }>();
  readonly #watchers = new Set<() => void>();
  #connected = false;
  /** How often the connection was lost. */
  losses = 0;

  receive(topic: string, bytes: Uint8Array): void {
    let received = this.#received.get(topic);
    if (received === undefined) {
      received = { messages: [], texts: [] };
      this.#received.set(topic, received);
    }
    received.messages.push(bytes);
    received.texts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
    this.#changed();
  }

  connected(): void {
    this.#connected = true;
    this.#changed();
  }

  disconnected(): void {
    if (this.#connected) this.losses++;
    this.#connected = false;
    this.#changed();
  }

  messages(topic: string): readonly Uint8Array[] {
    return this.#received.get(topic)?.messages ?? [];
  }

  /** What the messages said when they came. */
  texts(topic: string): readonly string[] {
    return this.#received.get(topic)?.texts ?? [];
  }

  /** Resolves once the connection is there. */
  connection(): Promise<void> {
    return this.#until("the connection", () => this.#connected);
  }

  /** Resolves with the next loss of the connection. */
  loss(): Promise<void> {
    const { losses } = this;
    return this.#until("the loss of the connection", () => this.losses > losses);
  }

  /** Resolves once what came on the topic is what `enough` wants. */
  received(topic: string, enough: (texts: readonly string[]) => boolean): Promise<void> {
    return this.#until(`messages of ${JSON.stringify(topic)}`, () => enough(this.texts(topic)));
  }

  #until(what: string, condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
      };
      const watcher = (): void => {
        if (!condition()) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new AssertionError({ message: `waited ${patienceMs} ms for ${what}` }));
      }, patienceMs);
      this.#watchers.add(watcher);
    });
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }
}
