// Presence: the names under which members have joined topics, in this process and all others.
//
// Every process tells all others of its own names and keeps theirs. What they say travels on one topic that users cannot
// name: changes as they happen, everything when somebody asks or the broker is back, and a sign of life every ten
// seconds, which also says how many names there are, so that a loss is noticed and asked about. A process that is not
// heard of for thirty seconds has no names any more.

import { checkFunction, clock, type Timer } from "@x/glisten/kit";

/** Begins with NUL, as no user's topic does. */
export const presenceTopic = "\0presence";

/** A name has come to a topic, or gone from it. */
export interface PresenceEvent {
  /** `"join"`: the first member of that name, in all processes. `"leave"`: the last of them has left. */
  readonly type: "join" | "leave";
  /** Which topic. */
  readonly topic: string;
  /** Which name. */
  readonly name: string;
}

const beatMs = 10_000;
const silentMs = 3 * beatMs;
/** UTF-16 code units of a name. */
export const maxNameLength = 128;
/** Characters of names in one message, about. */
const maxPart = 200_000;
/** Names of all other processes together, and processes: what a broker can make this one remember. */
const maxNames = 1_000_000;
const maxProcesses = 1024;

type Name = readonly [topic: string, name: string];
type Change = readonly [by: 1 | -1, topic: string, name: string];
type Saying =
  | { readonly do: "change"; readonly changes: readonly Change[] }
  /** `first`: forget what was known before. */
  | { readonly do: "all"; readonly first: boolean; readonly names: readonly Name[] }
  | { readonly do: "alive"; readonly names: number }
  | { readonly do: "ask" }
  | { readonly do: "bye" };

/** Names by topic, and how often each is there. */
class Names {
  readonly #topics = new Map<string, Map<string, number>>();
  /** How many different ones. */
  size = 0;

  /** Returns how often the name is there now. */
  add(topic: string, name: string, by: 1 | -1): number {
    const names = this.#topics.get(topic) ?? new Map<string, number>();
    const before = names.get(name) ?? 0;
    const count = Math.max(0, before + by);
    if (before === 0 && count > 0) this.size++;
    if (before > 0 && count === 0) this.size--;
    if (count > 0) names.set(name, count);
    else names.delete(name);
    if (names.size > 0) this.#topics.set(topic, names);
    else this.#topics.delete(topic);
    return count;
  }

  has(topic: string, name: string): boolean {
    return this.#topics.get(topic)?.has(name) ?? false;
  }

  of(topic: string): string[] {
    return [...(this.#topics.get(topic)?.keys() ?? [])];
  }

  *all(): Generator<Name> {
    for (const [topic, names] of this.#topics) for (const name of names.keys()) yield [topic, name];
  }
}

/** What is known of another process. */
interface Other {
  readonly names: Names;
  /** The time of its last message, and when that came, in milliseconds. */
  time: number;
  heardAt: number;
}

export class Presence {
  readonly #send: (text: string) => void;
  /** Of this process: how many members have each name. */
  readonly #own = new Names();
  readonly #others = new Map<string, Other>();
  /** Of all processes: in how many of them a name is. */
  readonly #everywhere = new Names();
  readonly #listeners = new Map<string, Set<(event: PresenceEvent) => void>>();
  readonly #notify: (listener: (event: PresenceEvent) => void, event: PresenceEvent) => void;
  #changes: Change[] = [];
  #timer: Timer | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** `send` publishes on the topic of presence; `notify` calls a listener. */
  constructor(
    send: (text: string) => void,
    notify: (listener: (event: PresenceEvent) => void, event: PresenceEvent) => void,
  ) {
    this.#send = send;
    this.#notify = notify;
    this.#beatLater();
  }

  /** The names in a topic, of all processes, each once, sorted. */
  names(topic: string): readonly string[] {
    return this.#everywhere.of(topic).sort();
  }

  listen(topic: string, listener: (event: PresenceEvent) => void): () => void {
    checkFunction("listener", listener);
    const listeners = this.#listeners.get(topic) ?? new Set();
    const own = (event: PresenceEvent): void => listener(event);
    listeners.add(own);
    this.#listeners.set(topic, listeners);
    return () => {
      listeners.delete(own);
      if (listeners.size === 0 && this.#listeners.get(topic) === listeners) this.#listeners.delete(topic);
    };
  }

  /** A member of this process has come under that name (1), or gone (-1). */
  count(topic: string, name: string, by: 1 | -1): void {
    const count = this.#own.add(topic, name, by);
    if (count !== (by === 1 ? 1 : 0)) return;
    this.#change(topic, name, by);
    if (this.#changes.push([by, topic, name]) === 1) queueMicrotask(() => this.#tellChanges());
  }

  /** Others can be reached, or can be again: what either side missed is made good. */
  connected(): void {
    this.#tellAll();
    this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#ask();
  }

  /** Says goodbye. */
  close(): void {
    clock.clearTimer(this.#timer);
    this.#changes = [];
    this.#say({ do: "bye" });
    this.#listeners.clear();
  }

  /** What another process says. False: that is nothing that a process would. */
  received(origin: string, time: number, content: unknown): boolean {
    const saying = parse(content);
    if (saying === undefined) return false;
    const known = this.#others.get(origin);
    if (known !== undefined && time <= known.time) return true;
    if (saying.do === "bye") this.#forget(origin);
    else if (saying.do === "ask") this.#tellAll();
    else if (known !== undefined || this.#others.size < maxProcesses) {
      const other = known ?? { names: new Names(), time, heardAt: 0 };
      this.#others.set(origin, other);
      other.time = time;
      other.heardAt = clock.now();
      this.#learn(other, saying, known === undefined);
    }
    return true;
  }

  #learn(other: Other, saying: Exclude<Saying, { do: "bye" | "ask" }>, isNew: boolean): void {
    if (saying.do === "all") {
      if (saying.first) this.#clear(other, new Set(saying.names.map(String)));
      for (const [topic, name] of saying.names) this.#set(other, topic, name, 1);
    } else if (saying.do === "change") {
      for (const [by, topic, name] of saying.changes) this.#set(other, topic, name, by);
      if (isNew) this.#ask(); // for what it said before
    } else if (saying.names !== other.names.size) this.#ask();
  }

  #set(other: Other, topic: string, name: string, by: 1 | -1): void {
    if (other.names.has(topic, name) === (by === 1)) return;
    if (by === 1 && this.#everywhere.size >= maxNames) return;
    other.names.add(topic, name, by);
    this.#change(topic, name, by);
  }

  /** Forgets its names, but for those that are told of again. */
  #clear(other: Other, kept: ReadonlySet<string>): void {
    for (const name of [...other.names.all()]) if (!kept.has(String(name))) this.#set(other, ...name, -1);
  }

  #forget(origin: string): void {
    const other = this.#others.get(origin);
    if (other === undefined) return;
    this.#clear(other, new Set());
    this.#others.delete(origin);
  }

  /** The name is in one process more, or less. */
  #change(topic: string, name: string, by: 1 | -1): void {
    const count = this.#everywhere.add(topic, name, by);
    if (count !== (by === 1 ? 1 : 0)) return;
    const event: PresenceEvent = { type: by === 1 ? "join" : "leave", topic, name };
    for (const listener of this.#listeners.get(topic) ?? []) this.#notify(listener, event);
  }

  #beatLater(): void {
    this.#timer = clock.setTimer(() => this.#beat(), beatMs);
    this.#timer.unref();
  }

  #beat(): void {
    this.#beatLater();
    if (this.#own.size > 0) this.#say({ do: "alive", names: this.#own.size });
    const now = clock.now();
    for (const [origin, { heardAt }] of this.#others) if (now - heardAt > silentMs) this.#forget(origin);
  }

  #ask(): void {
    const now = clock.now();
    if (now - this.#askedAt < 1000) return;
    this.#askedAt = now;
    this.#say({ do: "ask" });
  }

  #tellChanges(): void {
    const changes = this.#changes;
    this.#changes = [];
    for (const part of parts(changes)) this.#say({ do: "change", changes: part });
  }

  #tellAll(): void {
    // What has changed in this turn is part of it.
    this.#changes = [];
    let first = true;
    for (const names of parts([...this.#own.all()], true)) {
      this.#say({ do: "all", first, names });
      first = false;
    }
  }

  #say(saying: Saying): void {
    this.#send(JSON.stringify(saying));
  }
}

/** Splits a list, so that no message becomes too long. */
function parts<Entry extends Name | Change>(all: readonly Entry[], evenNone = false): readonly Entry[][] {
  const list: Entry[][] = [];
  let length = maxPart;
  for (const entry of all) {
    const size = entry.join().length + 8;
    if (length + size > maxPart) {
      list.push([]);
      length = 0;
    }
    list.at(-1)?.push(entry);
    length += size;
  }
  return list.length === 0 && evenNone ? [[]] : list;
}

function parse(content: unknown): Saying | undefined {
  if (typeof content !== "string") return undefined;
  let saying: Partial<Record<"do" | "changes" | "names" | "first", unknown>> | null;
  try {
    saying = JSON.parse(content);
  } catch {
    return undefined;
  }
  switch (saying?.do) {
    case "ask":
    case "bye":
      return { do: saying.do };
    case "alive":
      return typeof saying.names === "number" ? { do: "alive", names: saying.names } : undefined;
    case "all":
      if (!isList(saying.names, isName)) return undefined;
      return { do: "all", first: saying.first === true, names: saying.names };
    case "change":
      return isList(saying.changes, isChange) ? { do: "change", changes: saying.changes } : undefined;
    default:
      return undefined;
  }
}

function isList<Entry>(list: unknown, isEntry: (entry: unknown) => entry is Entry): list is Entry[] {
  return Array.isArray(list) && list.every(isEntry);
}

function isName(entry: unknown): entry is Name {
  return (
    Array.isArray(entry) && entry.length === 2 && isText(entry[0], 255) && isText(entry[1], maxNameLength)
  );
}

function isChange(entry: unknown): entry is Change {
  return Array.isArray(entry) && (entry[0] === 1 || entry[0] === -1) && isName(entry.slice(1));
}

function isText(text: unknown, longest: number): boolean {
  return typeof text === "string" && text.length > 0 && text.length <= longest;
}
