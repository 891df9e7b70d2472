// One message after the other: what is published while a message is handed out, by a member's `onClose` for example,
// waits its turn, so that all members hear both in the same order.

import type { Message } from "./message.ts";
import type { Topic } from "./topic.ts";

/** A message on its way to the members of this process. */
interface Handed {
  readonly topic: Topic;
  readonly message: Message;
  /** Who joined later does not get it. */
  readonly upTo: number;
  readonly except: ReadonlySet<unknown> | undefined;
}

export class HandingOut {
  #waiting: Handed[] = [];
  #busy = false;

  add(handed: Handed): void {
    if (this.#busy) {
      this.#waiting.push(handed);
      return;
    }
    this.#busy = true;
    try {
      this.#handOut(handed);
      while (this.#waiting.length > 0) {
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const next of waiting) this.#handOut(next);
      }
    } finally {
      this.#busy = false;
    }
  }

  #handOut({ topic, message, upTo, except }: Handed): void {
    topic.handOut(message, upTo, except);
  }
}
