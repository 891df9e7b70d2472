// Active mode: packets come as messages instead of being asked for. A socket is passive until it is armed, for one
// message or for all; an armed socket holds its packets until somebody subscribes, so none is lost.

import type { MugError } from "../errors.ts";
import { callUser } from "../unhandled.ts";

/** Anything that hands messages to a receiver until unsubscribed. */
export interface MessageSource<Message> {
  /** Hands every message to `receiver` until the function it returns is called. */
  subscribe(receiver: (message: Message) => void): () => void;
}

/** How a socket delivers packets: on demand, the next one as a message, or all as messages. */
export type ActiveState = "passive" | "once" | "active";

/** What the machine below needs of its socket. */
export interface ActivePort<Message> {
  takePacket(): Buffer | undefined;
  /** Why no more packets will come, once the held ones are taken. */
  readonly ended: MugError | undefined;
  packet(data: Buffer): Message;
  lastMessages(ended: MugError): readonly Message[];
}

export class ActiveMode<Message> implements MessageSource<Message> {
  state: ActiveState = "passive";
  readonly #port: ActivePort<Message>;
  readonly #receivers: Set<(message: Message) => void> = new Set();
  #pumping = false;

  constructor(port: ActivePort<Message>) {
    this.#port = port;
  }

  /** Messages begin in a later microtask, never inside this call. */
  arm(state: ActiveState): void {
    this.state = state;
    this.#pumpSoon();
  }

  subscribe(receiver: (message: Message) => void): () => void {
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const own = (message: Message): void => callUser("a receiver of messages", () => receiver(message));
    this.#receivers.add(own);
    this.#pumpSoon();
    return () => {
      this.#receivers.delete(own);
    };
  }

  /** Delivers what may be delivered. A receiver that arms again inside its call is served by this same loop. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.state !== "passive" && this.#receivers.size > 0 && this.#deliverNext()) {
      // One message per turn of the loop.
    }
    this.#pumping = false;
  }

  #pumpSoon(): void {
    if (this.state !== "passive" && this.#receivers.size > 0) queueMicrotask(() => this.pump());
  }

  #deliverNext(): boolean {
    const data = this.#port.takePacket();
    if (data !== undefined) {
      if (this.state === "once") this.state = "passive";
      this.#tell(this.#port.packet(data));
      return true;
    }
    const { ended } = this.#port;
    if (ended === undefined) return false;
    this.state = "passive";
    for (const message of this.#port.lastMessages(ended)) this.#tell(message);
    return false;
  }

  #tell(message: Message): void {
    for (const receiver of [...this.#receivers]) receiver(message);
  }
}
