// Typed addresses: where a message is sent to.
//
// Owns two kinds. A subject with an owner hands each message to it (an actor's, a connection's). A free-standing
// one keeps messages until somebody subscribes or calls `receive`.

import { clock, type Timer } from "../clock.ts";
import { type ExitReason, normalExit } from "./exit.ts";
import { Mailbox, type MailboxLimits } from "./mailbox.ts";
import { Monitors, type ProcessDown } from "./monitor.ts";
import type { Receiver, Source, Unsubscribe } from "./selector.ts";
import { callUser } from "./user-code.ts";

/** A typed address. */
export interface Subject<Message> extends Source<Message> {
  /**
   * Sends a message. Never blocks, never throws; when the owner is dead the message is dropped.
   *
   * A function property, so that a subject of fewer kinds of messages is not taken for one of more.
   */
  readonly send: (message: Message) => void;
  /** Gets every message sent from now on, in place of the owner's usual way of receiving. */
  subscribe(receiver: Receiver<Message>): Unsubscribe;
  /** Watches the owner end, where there is one to watch; `call` uses it. At once when it has ended already. */
  monitor?(receiver: Receiver<ProcessDown>): Unsubscribe;
}

/**
 * Subscribers of one subject. The list is replaced, never changed, so that a listener may subscribe and unsubscribe
 * while it is called.
 */
class Listeners<Message> {
  #receivers: readonly { readonly receiver: Receiver<Message> }[] = [];

  get length(): number {
    return this.#receivers.length;
  }

  add(receiver: Receiver<Message>): Unsubscribe {
    const entry = { receiver };
    this.#receivers = [...this.#receivers, entry];
    return () => {
      this.#receivers = this.#receivers.filter((other) => other !== entry);
    };
  }

  tell(message: Message): void {
    for (const { receiver } of this.#receivers) hand(receiver, message);
  }
}

function hand<Message>(receiver: Receiver<Message>, message: Message): void {
  void callUser(receiver, message);
}

/**
 * A subject with an owner. Messages go straight to `receiver`, on the sender's stack, unless somebody has
 * subscribed; `close` is the owner's death.
 */
export class OwnedSubject<Message> implements Subject<Message> {
  #receiver: Receiver<Message> | undefined;
  #listeners: Listeners<Message> | undefined;
  #monitors: Monitors | undefined;
  #reason: ExitReason | undefined;

  /** `receiver` is how the owner usually takes messages; as a rule `(message) => loop.post(message)`. */
  constructor(receiver: Receiver<Message>) {
    this.#receiver = receiver;
  }

  /** Whether the owner is watched through this subject. */
  get watched(): boolean {
    return this.#monitors?.watched ?? false;
  }

  send(message: Message): void {
    if (this.#receiver === undefined) return;
    if (this.#listeners !== undefined && this.#listeners.length > 0) this.#listeners.tell(message);
    else hand(this.#receiver, message);
  }

  subscribe(receiver: Receiver<Message>): Unsubscribe {
    if (this.#receiver === undefined) return () => {};
    this.#listeners ??= new Listeners<Message>();
    return this.#listeners.add(receiver);
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    if (this.#monitors === undefined) {
      this.#monitors = new Monitors();
      if (this.#reason !== undefined) this.#monitors.down(this.#reason, this);
    }
    return this.#monitors.add(receiver);
  }

  /** Ends the subject with its owner: drops messages from now on and tells the watchers. */
  close(reason: ExitReason): void {
    if (this.#receiver === undefined) return;
    this.#receiver = undefined;
    this.#listeners = undefined;
    this.#reason = reason;
    this.#monitors?.down(reason, this);
  }
}

/** Why {@link FreeSubject.receive} gave no message. */
export class ReceiveError extends Error {
  override readonly name: string = "ReceiveError";
  /** `timeout`: none came in time. `closed`: none will come any more. */
  readonly reason: "timeout" | "closed";

  constructor(reason: "timeout" | "closed") {
    super(reason === "timeout" ? "no message came in time" : "the subject is closed");
    this.reason = reason;
  }
}

/** A subject without an owner. */
export interface FreeSubject<Message> extends Subject<Message> {
  /** How many messages wait. */
  readonly length: number;
  /**
   * The oldest message that waits, or the next to come. Rejects with a {@link ReceiveError}: after `timeout`
   * milliseconds (0: only what waits already; default: no limit), or when the subject is closed. A message that
   * comes after a timeout is kept for the next call.
   */
  receive(options?: { readonly timeout?: number | undefined }): Promise<Message>;
  /** Drops what waits and everything sent from now on; pending `receive` calls are rejected. */
  close(): void;
}

type Waiter<Message> = {
  readonly resolve: (message: Message) => void;
  readonly reject: (error: ReceiveError) => void;
  timer: Timer | undefined;
};

class LooseSubject<Message> implements FreeSubject<Message> {
  readonly #listeners = new Listeners<Message>();
  readonly #waiters = new Set<Waiter<Message>>();
  readonly #mailbox: Mailbox<Message>;
  readonly #monitors = new Monitors();
  #closed = false;

  constructor(limits: MailboxLimits | undefined) {
    this.#mailbox = new Mailbox<Message>(limits);
  }

  get length(): number {
    return this.#mailbox.length;
  }

  send(message: Message): void {
    if (this.#closed) return;
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      this.#forget(waiter);
      waiter.resolve(message);
    } else if (this.#listeners.length > 0) {
      this.#listeners.tell(message);
    } else if (!this.#mailbox.offer(message)) {
      this.close();
    }
  }

  subscribe(receiver: Receiver<Message>): Unsubscribe {
    const leave = this.#listeners.add(receiver);
    while (this.#mailbox.length > 0 && this.#listeners.length > 0) hand(receiver, this.#mailbox.take());
    return leave;
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    return this.#monitors.add(receiver);
  }

  receive(options: { readonly timeout?: number | undefined } = {}): Promise<Message> {
    const { timeout = Number.POSITIVE_INFINITY } = options;
    return new Promise<Message>((resolve, reject) => {
      if (this.#mailbox.length > 0) resolve(this.#mailbox.take());
      else if (this.#closed) reject(new ReceiveError("closed"));
      else if (timeout <= 0) reject(new ReceiveError("timeout"));
      else this.#wait({ resolve, reject, timer: undefined }, timeout);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#mailbox.clear();
    for (const waiter of this.#waiters) {
      this.#forget(waiter);
      waiter.reject(new ReceiveError("closed"));
    }
    this.#monitors.down(normalExit, this);
  }

  #wait(waiter: Waiter<Message>, timeout: number): void {
    this.#waiters.add(waiter);
    if (timeout === Number.POSITIVE_INFINITY) return;
    waiter.timer = clock.setTimer(() => {
      this.#forget(waiter);
      waiter.reject(new ReceiveError("timeout"));
    }, timeout);
  }

  #forget(waiter: Waiter<Message>): void {
    this.#waiters.delete(waiter);
    clock.clearTimer(waiter.timer);
  }
}

/**
 * A subject without an owner: messages wait in it until somebody subscribes (a selector, say) or calls
 * `receive`. Since it outlives its listeners, it also serves as the lasting address of an actor that is
 * restarted: each incarnation selects it in its `init`.
 *
 * With limits its mailbox is bounded; under the `stop` policy it closes when one too many waits.
 */
export function subject<Message>(limits?: MailboxLimits): FreeSubject<Message> {
  return new LooseSubject<Message>(limits);
}
