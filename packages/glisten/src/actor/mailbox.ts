// Messages that wait their turn, with an optional bound and a policy for when it is reached.

import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { Queue } from "./queue.ts";

/**
 * What a full mailbox does with one message too many:
 *
 * - `drop-oldest`: drops the one that has waited longest.
 * - `drop-newest`: drops the new one.
 * - `stop`: its owner exits `abnormal` with a {@link MailboxOverflowError}.
 */
export type OverflowPolicy = "drop-oldest" | "drop-newest" | "stop";

/** The bound of a mailbox. */
export interface MailboxLimits {
  /**
   * The most messages that may wait, the one being handled not counted: an integer of at least 1, or `Infinity`.
   * Default: no bound, except for streamed responses and WebSockets (1000).
   */
  readonly maxMailbox?: number | undefined;
  /** What happens to one too many. Default: `stop`, the only policy that loses no message silently. */
  readonly overflow?: OverflowPolicy | undefined;
}

/** A mailbox with the `stop` policy was full. */
export class MailboxOverflowError extends Error {
  override readonly name: string = "MailboxOverflowError";
  /** The bound. */
  readonly maxMailbox: number;

  constructor(maxMailbox: number) {
    super(`the mailbox is full: ${maxMailbox} messages are waiting`);
    this.maxMailbox = maxMailbox;
  }
}

/** A bounded or unbounded FIFO of messages. */
export class Mailbox<Message> {
  readonly #queue: Queue<Message> = new Queue<Message>();
  readonly #max: number;
  readonly #overflow: OverflowPolicy;

  /** Throws a UsageError for limits out of range. */
  constructor(limits: MailboxLimits = {}) {
    checkMailboxLimits(limits);
    this.#max = limits.maxMailbox ?? Number.POSITIVE_INFINITY;
    this.#overflow = limits.overflow ?? "stop";
  }

  /** How many messages wait. */
  get length(): number {
    return this.#queue.length;
  }

  /** Adds a message, or applies the policy; false: the mailbox is full and its owner must stop. */
  offer(message: Message): boolean {
    if (this.#queue.length < this.#max) {
      this.#queue.push(message);
      return true;
    }
    if (this.#overflow === "stop") return false;
    if (this.#overflow === "drop-oldest") {
      this.#queue.shift();
      this.#queue.push(message);
    }
    return true;
  }

  /** Takes the oldest message out. Only when `length` is not 0: a message may be `undefined`. */
  take(): Message {
    return this.#queue.shift();
  }

  /** Drops all messages. */
  clear(): void {
    this.#queue.clear();
  }

  /** The error of an owner that must stop. */
  overflowError(): MailboxOverflowError {
    return new MailboxOverflowError(this.#max);
  }
}

/** The names of {@link MailboxLimits}. */
export const mailboxOptions: readonly string[] = ["maxMailbox", "overflow"];

/** Throws a UsageError for limits out of range. */
export function checkMailboxLimits(limits: MailboxLimits): void {
  const { maxMailbox = 1, overflow = "stop" } = limits;
  if (maxMailbox !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(maxMailbox) && maxMailbox >= 1)) {
    throw new UsageError(`maxMailbox must be an integer of at least 1, got ${shown(maxMailbox)}`);
  }
  if (overflow !== "stop" && overflow !== "drop-oldest" && overflow !== "drop-newest") {
    throw new UsageError(`overflow must be "drop-oldest", "drop-newest" or "stop", got ${shown(overflow)}`);
  }
}
