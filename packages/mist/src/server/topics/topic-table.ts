// All topics of this process: how many there may be, when one without members goes, and what their logs may hold.

import { clock, type Timer } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Message } from "./message.ts";
import type { TopicsSettings } from "./options.ts";
import { clockSkewUs, type Heard } from "./position.ts";
import { type LogTotal, ReplayLog } from "./replay-log.ts";
import { Topic } from "./topic.ts";

/** Topics without a log whose last message is remembered, so that a log that is opened later knows what it lacks. */
const maxUnlogged = 10_000;

export class TopicTable {
  readonly #settings: TopicsSettings;
  readonly #heard: Heard;
  readonly #gone: (topic: Topic) => void;
  readonly #topics = new Map<string, Topic>();
  /** Those without members, longest first. */
  readonly #idle = new Set<Topic>();
  #timer: Timer | undefined;
  /** Those with a log, silent for longest first. */
  readonly #logged = new Set<Topic>();
  readonly #total: LogTotal = { bytes: 0 };
  /** When something was last published to topics that were not there. */
  readonly #unlogged = new Map<string, number>();
  /** The same, for those that have been forgotten. */
  #unloggedBefore: number;

  /** `gone` is called for each topic that goes. */
  constructor(settings: TopicsSettings, heard: Heard, gone: (topic: Topic) => void) {
    this.#settings = settings;
    this.#heard = heard;
    this.#gone = gone;
    this.#unloggedBefore = heard.tick();
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  /** The topic for a member that joins. @throws UsageError if there are too many */
  open(name: string): Topic {
    const there = this.#topics.get(name);
    if (there !== undefined) {
      this.#idle.delete(there);
      return there;
    }
    const { maxTopics } = this.#settings;
    if (this.#topics.size >= maxTopics) {
      const [longestIdle] = this.#idle;
      if (longestIdle === undefined)
        throw new UsageError(`there are ${maxTopics} topics already (maxTopics)`);
      this.#remove(longestIdle);
    }
    const topic = new Topic(name, this.#newLog(name));
    this.#topics.set(name, topic);
    return topic;
  }

  #newLog(name: string): ReplayLog | undefined {
    const { replay, relay } = this.#settings;
    if (replay === undefined) return undefined;
    // Others' messages are heard once the relay has subscribed.
    const since = relay === undefined ? (this.#unlogged.get(name) ?? this.#unloggedBefore) : Infinity;
    this.#unlogged.delete(name);
    return new ReplayLog(replay, this.#total, since);
  }

  /** Something was published to a topic that is not there. */
  missed(name: string, time: number): void {
    if (this.#settings.replay === undefined || this.#settings.relay !== undefined) return;
    this.#unlogged.delete(name);
    this.#unlogged.set(name, time);
    if (this.#unlogged.size <= maxUnlogged) return;
    const [oldest, at] = this.#unlogged.entries().next().value as [string, number];
    this.#unlogged.delete(oldest);
    this.#unloggedBefore = Math.max(this.#unloggedBefore, at);
  }

  /** Keeps the message in the topic's log, if it has one. */
  keep(topic: Topic, message: Message): void {
    topic.log?.add(message);
    this.#bound(topic);
  }

  /** Puts what an engine has kept into the topic's log. */
  fill(topic: Topic, older: readonly Message[]): void {
    // It may have gone while the engine was asked.
    if (this.#topics.get(topic.name) !== topic) return;
    topic.log?.fill(older);
    this.#bound(topic);
  }

  #bound(topic: Topic): void {
    if (topic.log === undefined) return;
    this.#logged.delete(topic);
    this.#logged.add(topic);
    const { totalBytes = 0 } = this.#settings.replay ?? {};
    for (const silent of this.#logged) {
      while (this.#total.bytes > totalBytes && silent.log?.empty === false) silent.log.dropOldest();
      if (this.#total.bytes <= totalBytes) break;
      this.#logged.delete(silent);
    }
  }

  /** What was said until now may have been missed. */
  hole(): void {
    const time = this.#heard.now + clockSkewUs;
    for (const { log } of this.#topics.values()) log?.hole(time);
  }

  /** The last member has left. */
  idle(topic: Topic): void {
    if (this.#topics.get(topic.name) !== topic) return;
    const { keepMs = 0 } = this.#settings.replay ?? {};
    if (keepMs === 0) {
      this.#remove(topic);
      return;
    }
    topic.idleSince = clock.now();
    this.#idle.add(topic);
    if (this.#timer === undefined) this.#sweepIn(keepMs);
  }

  #sweepIn(ms: number): void {
    this.#timer = clock.setTimer(() => this.#sweep(), ms);
    this.#timer.unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    const { keepMs = 0 } = this.#settings.replay ?? {};
    const now = clock.now();
    for (const topic of this.#idle) {
      const leftMs = topic.idleSince + keepMs - now;
      if (leftMs > 0) {
        this.#sweepIn(leftMs);
        return;
      }
      this.#remove(topic);
    }
  }

  #remove(topic: Topic): void {
    this.#topics.delete(topic.name);
    this.#idle.delete(topic);
    this.#logged.delete(topic);
    if (topic.log !== undefined) {
      this.missed(topic.name, topic.log.reach);
      topic.log.clear();
    }
    this.#gone(topic);
  }

  clear(): void {
    clock.clearTimer(this.#timer);
    for (const topic of this.#topics.values()) this.#remove(topic);
  }
}
