// Topics: what is published to one reaches everybody who has joined it, in this process and, with a relay, in others.
//
//   publish ─ stamp ─┬─▶ topic ─ log ─▶ members of this process, at once
//                    └─▶ relay-link ─▶ outbox ─▶ relay ─▶ …
//   … ─▶ relay ─▶ relay-link ─ own, malformed and repeated ones drop out ─▶ topic ─ log ─▶ members of this process
//
// A message is encoded once for all members of a kind. A topic exists while it has members, and with `replay` for a
// while longer, so that a member that comes back finds what it has missed.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { callUser, checkNames, clock, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { event, ServerSentEvent } from "../../sse/event.ts";
import { EventStream } from "../streams/event-stream.ts";
import { maxEventName, type Opened } from "./envelope.ts";
import { HandingOut } from "./handing-out.ts";
import { Member, type Place, type QueueRules } from "./member.ts";
import { type Content, isEvent, Message, sizeOf } from "./message.ts";
import { type TopicsOptions, type TopicsSettings, topicsSettings } from "./options.ts";
import type { TopicMember } from "./outlet.ts";
import { clockSkewUs, Heard, Position } from "./position.ts";
import { maxNameLength, Presence, type PresenceEvent, presenceTopic } from "./presence.ts";
import { drop, fail, RelayLink } from "./relay-link.ts";
import type { TopicsState } from "./telemetry.ts";
import type { Topic } from "./topic.ts";
import { TopicTable } from "./topic-table.ts";

/** Options of {@link Topics.join}. */
export interface JoinOptions {
  /**
   * The id of the last message that the member has had: it is sent what it has missed since, as far as that has been
   * kept. Default: for an event stream its `lastEventId`, else none.
   */
  readonly after?: string | undefined;
  /** The name under which the member is present, of 1 to 128 characters. Needs `presence`. Default: none. */
  readonly as?: string | undefined;
}

/** Options of {@link Topics.publish}. */
export interface PublishOptions {
  /** Members that do not get the message. */
  readonly except?: TopicMember | readonly TopicMember[] | undefined;
}

/** What a member that came back was sent. */
export interface Replay {
  /** How many messages. */
  readonly messages: number;
  /** False if it may have missed more: its id is older than what has been kept, or was not understood. */
  readonly complete: boolean;
}

/** What {@link Topics.join} gives. */
export interface Joined {
  /** Leaves the topic again. */
  leave(): void;
  /**
   * Resolves when the member hears what other processes publish from then on, or when that is not to be waited for: the
   * relay is away, or takes longer than 5 seconds. Never rejects.
   */
  readonly ready: Promise<void>;
  /** Resolves once the member has been sent what it has missed; it gets nothing newer before. Never rejects. */
  readonly replay: Promise<Replay>;
}

const isReady: Promise<void> = Promise.resolve();
const nothingMissed: Promise<Replay> = Promise.resolve({ messages: 0, complete: true });

/** Sends messages to everybody who has joined a topic. Made by {@link topics}. */
export class Topics implements AsyncDisposable {
  readonly #settings: TopicsSettings;
  readonly #heard: Heard;
  readonly #table: TopicTable;
  readonly #members = new Map<TopicMember, Member>();
  readonly #link: RelayLink | undefined;
  readonly #handingOut = new HandingOut();
  readonly #rules: QueueRules;
  readonly #presence: Presence | undefined;
  #dropped = 0;
  #closing: Promise<void> | undefined;
  #lastPlace = 0;

  /** @internal Use {@link topics}. */
  constructor(options: TopicsOptions) {
    const settings = topicsSettings(options);
    this.#settings = settings;
    this.#heard = new Heard(randomBytes(6).toString("base64url"), clock.wallTime);
    this.#table = new TopicTable(settings, this.#heard, (topic) => this.#link?.unsubscribe(topic.name));
    const { maxQueue, slowClient, relay } = settings;
    this.#rules = {
      maxQueue,
      slowClient,
      dropped: () => {
        this.#dropped++;
      },
      expelled: (member) => this.#leaveAll(member),
    };
    const { self } = this.#heard;
    if (settings.presence) {
      const say = (text: string): void => this.#link?.publish(presenceTopic, self, this.#heard.tick(), text);
      this.#presence = new Presence(say, (listener, event) => void callUser(listener, event));
    }
    if (relay === undefined) return;
    this.#link = new RelayLink(relay, this, settings);
    this.#link.open();
    if (settings.presence) void this.#link.subscribe(presenceTopic, () => this.#presence?.connected());
  }

  /** How these topics stand with other processes. */
  get state(): TopicsState {
    if (this.#closing !== undefined) return "closed";
    return this.#link?.state ?? "local";
  }

  /** Messages forgotten so far because a member was too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many members of this process the topic has. */
  size(topic: string): number {
    return this.#table.get(topic)?.members.size ?? 0;
  }

  /** The members of this process that the topic has, in the order they joined. */
  members(topic: string): readonly TopicMember[] {
    return Array.from(this.#table.get(topic)?.members.keys() ?? [], ({ connection }) => connection);
  }

  /**
   * Has a WebSocket, an event stream or a chunked stream hear the topic until it leaves or its connection ends. Does
   * nothing if it is a member already.
   *
   * @param topic 1 to 255 UTF-16 code units of well-formed text that does not begin with NUL.
   * @throws UsageError for another name or member, beyond `maxTopics` and `maxTopicsPerMember`, and once closed.
   */
  join(member: TopicMember, topic: string, options: JoinOptions = {}): Joined {
    checkTopic(topic);
    checkNames("join", options, ["after", "as"]);
    const name = this.#checkedName(options.as);
    if (this.#closing !== undefined) throw new UsageError("the topics are closed");
    const joined = (replay: Promise<Replay>): Joined => ({
      leave: () => this.leave(member, topic),
      ready: this.#table.get(topic)?.ready ?? isReady,
      replay,
    });
    const known = this.#members.get(member);
    if (known?.topics.has(topic)) return joined(nothingMissed);
    const { maxTopicsPerMember } = this.#settings;
    if (known !== undefined && known.topics.size >= maxTopicsPerMember) {
      throw new UsageError(`a member may join at most ${maxTopicsPerMember} topics (maxTopicsPerMember)`);
    }
    const who = known ?? new Member(member, this.#rules);
    const place: Place = { member: who, number: ++this.#lastPlace, name, seen: undefined };
    this.#enter(this.#table.open(topic), who, place);
    const replay = this.#resume(this.#table.get(topic) as Topic, who, place, options.after);
    if (known === undefined) {
      this.#members.set(member, who);
      // Calls at once if the connection has ended already.
      who.unwatch = member.subject.monitor?.(() => this.#leaveAll(who));
    }
    return joined(replay);
  }

  /** Takes the member out of the topic; what waits for it is forgotten. */
  leave(member: TopicMember, topic: string): void {
    const who = this.#members.get(member);
    if (who === undefined || !who.topics.delete(topic)) return;
    who.forget(topic);
    this.#exit(who, topic);
    if (who.topics.size === 0) this.#forget(who);
  }

  /**
   * Sends a message to everybody in the topic: those of this process at once, those of others by the relay. Never
   * waits. Event streams get an event (bytes as base64), WebSockets and chunked streams the data of an event.
   *
   * @returns how many members of this process it was sent to.
   * @throws UsageError for what is not a message, is longer than `maxMessageBytes`, or has an id of its own.
   */
  publish(topic: string, message: Content, options: PublishOptions = {}): number {
    checkTopic(topic);
    checkNames("publish", options, ["except"]);
    this.#checkContent(message);
    if (this.#closing !== undefined) return 0;
    const { self } = this.#heard;
    const time = this.#heard.tick();
    this.#link?.publish(topic, self, time, message);
    const here = this.#table.get(topic);
    if (here === undefined) {
      this.#heard.note(self, time);
      this.#table.missed(topic, time);
      return 0;
    }
    return this.#hand(here, { origin: self, time, content: message }, exceptions(options.except));
  }

  /**
   * The names of the topic's members in all processes, each once, sorted. Others' names come with the relay, so they
   * are late by its delay; those of a process that has crashed go after 30 seconds.
   *
   * @throws UsageError without the option `presence`.
   */
  presence(topic: string): readonly string[] {
    return this.#withPresence().names(topic);
  }

  /**
   * Has `listener` told when a name comes to the topic or goes from it, in whatever process. Returns what ends that.
   *
   * @throws UsageError without the option `presence`.
   */
  onPresence(topic: string, listener: (event: PresenceEvent) => void): () => void {
    checkTopic(topic);
    return this.#withPresence().listen(topic, listener);
  }

  #withPresence(): Presence {
    if (this.#presence === undefined) throw new UsageError("topics know names only with { presence: true }");
    return this.#presence;
  }

  #checkedName(name: string | undefined): string | undefined {
    if (name === undefined) return undefined;
    this.#withPresence();
    if (typeof name === "string" && name.length > 0 && name.length <= maxNameLength) return name;
    throw new UsageError(`a name must be text of 1 to ${maxNameLength} characters, got ${shown(name)}`);
  }

  /** Has all members leave, tells the broker what was published, and ends the relay. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const member of this.#members.values()) this.#leaveAll(member);
    this.#table.clear();
    this.#presence?.close();
    await this.#link?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ── what the relay tells ──────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  received(topic: string, opened: Opened): void {
    const { origin, time, content } = opened;
    if (origin === this.#heard.self) return;
    if (topic === presenceTopic) {
      if (this.#presence?.received(origin, time, content) === false) drop({ topic, reason: "malformed" });
      return;
    }
    const here = this.#table.get(topic);
    if (here?.isNew(origin, time)) this.#hand(here, opened, undefined);
  }

  /** @internal */
  reconnected(): void {
    if (this.#link?.keeps !== true) this.#table.hole();
    this.#presence?.connected();
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

  #hand(topic: Topic, opened: Opened, except: ReadonlySet<unknown> | undefined): number {
    this.#heard.note(opened.origin, opened.time);
    const message = this.#message(topic.name, opened);
    if (!this.#framed(message)) return 0;
    this.#table.keep(topic, message);
    this.#handingOut.add({ topic, message, upTo: this.#lastPlace, except });
    let count = topic.members.size;
    for (const member of except ?? [])
      if (this.#members.get(member as TopicMember)?.topics.has(topic.name)) count--;
    return count;
  }

  #message(topic: string, { origin, time, content }: Opened): Message {
    const { replay, frame } = this.#settings;
    const position = replay === undefined ? undefined : this.#heard.position;
    return new Message({ topic, origin, time }, content, position, frame);
  }

  /** Has the user make the frame, so that a failure is told before anybody has the message. */
  #framed(message: Message): boolean {
    if (this.#settings.frame === undefined) return true;
    try {
      return message.frame !== undefined;
    } catch (error) {
      if (message.origin === this.#heard.self) throw error;
      fail({ topic: message.topic, error });
      return false;
    }
  }

  #checkContent(content: Content): void {
    if (
      typeof content !== "string" &&
      !(content instanceof Uint8Array) &&
      !(content instanceof ServerSentEvent)
    ) {
      throw new UsageError(`a message must be text, bytes or an event, got ${shown(content)}`);
    }
    const size = sizeOf(content);
    const { maxMessageBytes } = this.#settings;
    if (size > maxMessageBytes) {
      throw new UsageError(
        `a message must have at most ${maxMessageBytes} bytes (maxMessageBytes), got ${size}`,
      );
    }
    if (!isEvent(content)) return;
    if (content.id !== undefined)
      throw new UsageError("topics give events their ids: publish it without one");
    if (Buffer.byteLength(content.name ?? "") > maxEventName)
      throw new UsageError(`the name of an event must have at most ${maxEventName} bytes`);
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────────────────

  #enter(topic: Topic, member: Member, place: Place): void {
    topic.members.set(member, place);
    member.topics.add(topic.name);
    if (place.name !== undefined) this.#presence?.count(topic.name, place.name, 1);
    const link = this.#link;
    if (!topic.isFresh || link === undefined) return;
    topic.isFresh = false;
    topic.ready = this.#follow(topic, link).finally(() => {
      topic.ready = undefined;
    });
  }

  /** Hears what others publish from now on, and fills the log with what the engine has kept. */
  async #follow(topic: Topic, link: RelayLink): Promise<void> {
    const done = await link.subscribe(topic.name, () => topic.log?.begin(this.#heard.now + clockSkewUs));
    const { replay } = this.#settings;
    if (!done || !link.keeps || replay === undefined) return;
    const kept = await link.kept(topic.name, replay.messages);
    this.#table.fill(
      topic,
      kept.map((opened) => this.#message(topic.name, opened)),
    );
  }

  #exit(member: Member, name: string): void {
    const topic = this.#table.get(name);
    const place = topic?.members.get(member);
    if (topic === undefined || place === undefined) return;
    topic.members.delete(member);
    if (place.name !== undefined) this.#presence?.count(name, place.name, -1);
    if (topic.members.size === 0) this.#table.idle(topic);
  }

  #leaveAll(member: Member): void {
    for (const topic of member.topics) this.#exit(member, topic);
    member.topics.clear();
    this.#forget(member);
  }

  #forget(member: Member): void {
    member.drop();
    this.#members.delete(member.connection);
  }

  // ── members that come back ────────────────────────────────────────────────────────────────────────────────

  #resume(topic: Topic, member: Member, place: Place, after: string | undefined): Promise<Replay> {
    const { connection } = member;
    const isEvents = connection instanceof EventStream;
    const id = after ?? (isEvents && topic.log !== undefined ? connection.lastEventId : undefined);
    if (id === undefined || id === "") return nothingMissed;
    const { ready } = topic;
    if (ready === undefined || topic.log === undefined)
      return Promise.resolve(this.#catchUp(topic, member, place, id));
    place.seen = "unread";
    return ready.then(() => this.#catchUp(topic, member, place, id));
  }

  #catchUp(topic: Topic, member: Member, place: Place, id: string): Replay {
    if (topic.members.get(member) !== place) return { messages: 0, complete: false };
    place.seen = undefined;
    const position = this.#read(id);
    const missed = topic.log?.after(position) ?? { messages: [], complete: false };
    if (!missed.complete && member.connection instanceof EventStream) {
      void member.connection.sendEvent(event(topic.name).eventName("gap"));
    }
    if (position === undefined) return { messages: 0, complete: false };
    let seen = position;
    const messages = missed.messages.map((message) => {
      seen = seen.and(message.origin, message.time);
      return message.behind(seen);
    });
    member.catchUp(messages);
    if (!this.#heard.position.includes(seen)) place.seen = seen;
    return { messages: messages.length, complete: missed.complete };
  }

  /** Ids come from clients: one from the future would have the member miss everything. */
  #read(id: string): Position | undefined {
    const position = Position.parse(id);
    return position !== undefined && position.latest <= this.#heard.now + farAheadUs ? position : undefined;
  }
}

/** How far other processes' clocks may be ahead; microseconds. */
const farAheadUs = 60_000_000;
const maxTopicLength = 255;

function checkTopic(topic: string): void {
  const isName =
    typeof topic === "string" &&
    topic.length > 0 &&
    topic.length <= maxTopicLength &&
    !topic.startsWith("\0") &&
    !/\p{Surrogate}/u.test(topic);
  if (isName) return;
  throw new UsageError(
    `a topic must be well-formed text of 1 to ${maxTopicLength} characters that does not begin with NUL, got ${shown(topic)}`,
  );
}

function exceptions(except: PublishOptions["except"]): ReadonlySet<unknown> | undefined {
  if (except === undefined) return undefined;
  return new Set<unknown>(Array.isArray(except) ? except : [except]);
}

/**
 * Topics that connections join and messages are published to.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * const rooms = mist.topics({ replay: 100 });
 * mist.websocket({
 *   request,
 *   onInit: (websocket) => void rooms.join(websocket, "news"),
 *   handler: (_state, message) => void (message.type === "text" && rooms.publish("news", message.data)),
 * });
 * ```
 */
export function topics(options: TopicsOptions = {}): Topics {
  return new Topics(options);
}
