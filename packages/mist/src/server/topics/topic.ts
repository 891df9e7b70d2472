// One topic in this process: its members, its log, and what has been heard of it.

import type { Member, Place } from "./member.ts";
import type { Message } from "./message.ts";
import { type Position, windowUs } from "./position.ts";
import type { ReplayLog } from "./replay-log.ts";

/** Publishers whose last message is remembered, so that it is not handed out twice. */
const maxPublishers = 1024;

export class Topic {
  readonly name: string;
  readonly log: ReplayLog | undefined;
  /** In the order they joined. */
  readonly members: Map<Member, Place> = new Map();
  /** Until what others publish is heard, and the log holds what the engine has kept. */
  ready: Promise<void> | undefined;
  /** Nobody has asked the relay for it yet. */
  isFresh = true;
  /** When the last member left; milliseconds. */
  idleSince = 0;
  /** The newest time by publisher, in the order they were heard of. */
  readonly #newest = new Map<string, number>();

  constructor(name: string, log: ReplayLog | undefined) {
    this.name = name;
    this.log = log;
  }

  /** Whether this is new, rather than something that a broker brings again. */
  isNew(origin: string, time: number): boolean {
    if (time <= (this.#newest.get(origin) ?? -1)) return false;
    this.#newest.delete(origin);
    this.#newest.set(origin, time);
    if (this.#newest.size > maxPublishers) this.#newest.delete(this.#newest.keys().next().value as string);
    return true;
  }

  /** Hands the message to those who were members when it was published: whose number is `upTo` or less. */
  handOut(message: Message, upTo: number, except: ReadonlySet<unknown> | undefined): void {
    for (const place of this.members.values()) {
      if (place.number > upTo) break;
      if (except?.has(place.member.connection)) continue;
      if (place.seen === undefined) place.member.hand(message);
      else if (place.seen !== "unread") handUnseen(message, place, place.seen);
    }
  }
}

function handUnseen(message: Message, place: Place, seen: Position): void {
  if (!seen.covers(message.origin, message.time)) place.member.hand(message.behind(seen));
  // Nothing that this one has overtaken is still to come.
  if (message.time > seen.latest + windowUs) place.seen = undefined;
}
