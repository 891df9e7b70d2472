// What the primary keeps of every topic, for workers that start later and for those that were too slow.

import { isOfTheMoment } from "./messages.ts";

/** Bytes of everything that is kept; the topics that have been silent for longest go first. */
const maxBytes = 64 * 1024 * 1024;
/** What a message costs besides its own bytes, about. */
const overhead = 100;

interface Log {
  messages: string[];
  bytes: number;
}

export class Kept {
  /** Messages of each topic: the most that any worker has asked for. */
  limit = 0;
  /** Silent for longest first. */
  readonly #logs = new Map<string, Log>();
  #bytes = 0;

  add(topic: string, message: string): void {
    if (this.limit === 0 || isOfTheMoment(topic)) return;
    const log = this.#logs.get(topic) ?? { messages: [], bytes: 0 };
    this.#logs.delete(topic);
    this.#logs.set(topic, log);
    log.messages.push(message);
    this.#count(log, message.length + overhead);
    while (log.messages.length > this.limit) this.#count(log, -(log.messages.shift()!.length + overhead));
    for (const [silent, { bytes }] of this.#logs) {
      if (this.#bytes <= maxBytes) break;
      this.#logs.delete(silent);
      this.#bytes -= bytes;
    }
  }

  /** The newest messages of the topic, oldest first. */
  last(topic: string, limit: number): readonly string[] {
    return this.#logs.get(topic)?.messages.slice(-limit) ?? [];
  }

  #count(log: Log, bytes: number): void {
    log.bytes += bytes;
    this.#bytes += bytes;
  }
}
