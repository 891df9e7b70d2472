// A member of one or more topics: what it has yet to be sent, and what happens when it is too slow.
//
// A member that keeps up is sent to at once. For one that does not, messages wait in one queue for all of its topics,
// which holds references; when the queue is full the slow-client policy decides.

import { ignore } from "@x/glisten/kit";
import type { Message } from "./message.ts";
import { type Outlet, outletOf, type TopicMember } from "./outlet.ts";
import type { Position } from "./position.ts";

/**
 * What happens when a member's queue is full: the oldest message is forgotten, the new one is, or the member's
 * connection is ended, a WebSocket's with 1013 (try again later).
 */
export type SlowClientPolicy = "drop-oldest" | "drop-newest" | "close";

/** What a member's queue may hold, and who is told of what it does not. */
export interface QueueRules {
  readonly maxQueue: number;
  readonly slowClient: SlowClientPolicy;
  /** A message was forgotten. */
  dropped(): void;
  /** The member's connection is ended. */
  expelled(member: Member): void;
}

/** A member's place in one topic. */
export interface Place {
  readonly member: Member;
  /** Grows with every join: who joins while a message is handed out does not get it. */
  readonly number: number;
  /** Under which it is present. */
  readonly name: string | undefined;
  /**
   * What it had heard when it came, until nothing of that can come again. `"unread"`: it gets nothing before the log has
   * been read for it.
   */
  seen: Position | "unread" | undefined;
}

/** A connection that has joined topics. */
export class Member {
  readonly connection: TopicMember;
  /** The topics it has joined, by name. */
  readonly topics: Set<string> = new Set();
  /** Stops watching for the end of its connection. */
  unwatch: (() => void) | undefined;
  readonly #outlet: Outlet;
  readonly #rules: QueueRules;
  #queue: Message[] = [];
  /** Messages in the queue that come from a log; they are not held against the member. */
  #replayed = 0;
  /** The client is still taking what it was sent. */
  #waiting = false;

  constructor(connection: TopicMember, rules: QueueRules) {
    this.connection = connection;
    this.#outlet = outletOf(connection);
    this.#rules = rules;
  }

  /** Sends the message as soon as the client takes it. */
  hand(message: Message): void {
    if (!this.#waiting) this.#send(message);
    else if (this.#queue.length < this.#rules.maxQueue + this.#replayed) this.#queue.push(message);
    else this.#tooSlow(message);
  }

  /** Sends what the member has missed. */
  catchUp(messages: readonly Message[]): void {
    for (const message of messages) {
      if (!this.#waiting) this.#send(message);
      else {
        this.#queue.push(message);
        this.#replayed++;
      }
    }
  }

  /** Forgets what waits for it from this topic. */
  forget(topic: string): void {
    if (this.#queue.length === 0) return;
    this.#queue = this.#queue.filter((message) => message.topic !== topic);
    this.#replayed = Math.min(this.#replayed, this.#queue.length);
  }

  /** It has left everything. */
  drop(): void {
    this.unwatch?.();
    this.#queue = [];
    this.#replayed = 0;
  }

  #tooSlow(message: Message): void {
    const { slowClient } = this.#rules;
    this.#rules.dropped();
    if (slowClient === "drop-oldest") {
      this.#take();
      this.#queue.push(message);
    } else if (slowClient === "close") {
      this.#rules.expelled(this);
      this.#outlet.end();
    }
  }

  #send(message: Message): void {
    const sent = this.#outlet.send(message);
    if (!this.#outlet.blocked) return;
    this.#waiting = true;
    // A member that is gone leaves by itself.
    sent.then(() => this.#goOn(), ignore);
  }

  #goOn(): void {
    this.#waiting = false;
    while (!this.#waiting && this.#queue.length > 0) this.#send(this.#take());
  }

  #take(): Message {
    if (this.#replayed > 0) this.#replayed--;
    return this.#queue.shift() as Message;
  }
}
