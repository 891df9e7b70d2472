// Topics as Redis streams, with the channels as their bell.
//
// A script appends to the stream and publishes to the channel, with the position in front, in one step. So subscribers
// hear of a message as soon as without streams, in the order of the stream, and nobody polls: `XREAD` would name every
// topic of the process with every message. What a lost connection missed is read from the streams.

import { asBuffer, type RedisClientLike, RedisPubSub, type Subscription } from "./pub-sub.ts";

/** The field of an entry that holds the message. */
const field = "m";

// EVAL and not EVALSHA: after a SCRIPT FLUSH those in flight would fail one by one, and the repeated ones be overtaken.
const append = `
local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', '${field}', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', KEYS[1], position .. ' ' .. ARGV[1])`;

/** Before every position: Redis counts from 0-1. */
const beginning = "0-0";

/** A message, and where the stream has it. */
interface Entry {
  readonly position: string;
  readonly bytes: Buffer;
}

interface StreamSubscription extends Subscription {
  /** The newest position that the sink has; undefined until the stream was looked at. */
  last: string | undefined;
  /** What the channel brings while the stream is being read. */
  waiting: Entry[] | undefined;
}

/** Messages travel by `XADD` and `PUBLISH`, and are kept. */
export class RedisStreams extends RedisPubSub<StreamSubscription> {
  readonly #settings: readonly string[];

  constructor(model: RedisClientLike, prefix: string, maxLength: number, maxIdleMs: number) {
    super(model, prefix);
    this.#settings = [String(maxLength), String(maxIdleMs)];
  }

  override async publish(topic: string, bytes: Uint8Array): Promise<void> {
    if (!isKept(topic)) return super.publish(topic, bytes);
    await this.command("EVAL", append, "1", this.channelOf(topic), asBuffer(bytes), ...this.#settings);
  }

  protected override subscriptionOf(topic: string, channel: string): StreamSubscription {
    const kept = isKept(topic);
    const subscription: StreamSubscription = {
      topic,
      channel,
      confirmed: false,
      last: undefined,
      waiting: [],
      listener: (message) => {
        const entry = kept ? unframed(message) : undefined;
        if (this.subscriptions.get(topic) !== subscription) return;
        // Not from a stream. If it is a stranger's, topics say so.
        if (entry === undefined) this.sink.receive(topic, message);
        else if (subscription.waiting !== undefined) subscription.waiting.push(entry);
        else this.#give(subscription, entry);
      },
    };
    return subscription;
  }

  /** A write, which a replica refuses, too. */
  protected override probe(): Promise<unknown> {
    return this.command("DEL", this.channelOf("\0"));
  }

  protected override interrupted(): void {
    // The next connection has messages before it has the replies that tell what was missed.
    for (const subscription of this.subscriptions.values()) subscription.waiting = [];
  }

  protected override async begin(subscription: StreamSubscription): Promise<void> {
    await super.begin(subscription);
    if (!isKept(subscription.topic)) return;
    const { channel, last } = subscription;
    const [[newest], missed] = await Promise.all([
      this.#read("XREVRANGE", channel, "+", "-", "COUNT", "1"),
      last === undefined ? [] : this.#read("XRANGE", channel, `(${last}`, "+"),
    ]);
    let entries = missed;
    subscription.last ??= newest?.position ?? beginning;
    if (last !== undefined && (newest === undefined || isBehind(last, newest.position))) {
      // The server has lost the stream, and may count from an earlier time.
      subscription.last = beginning;
      entries = await this.#read("XRANGE", channel, "-", "+");
    }
    for (const entry of entries) this.#give(subscription, entry);
    const waiting = subscription.waiting ?? [];
    subscription.waiting = undefined;
    for (const entry of waiting) {
      if (last === undefined || isBehind(entry.position, subscription.last)) this.#give(subscription, entry);
    }
  }

  #give(subscription: StreamSubscription, { position, bytes }: Entry): void {
    subscription.last = position;
    this.sink.receive(subscription.topic, bytes);
  }

  async history(topic: string, limit: number): Promise<readonly Uint8Array[]> {
    const entries = await this.#read("XREVRANGE", this.channelOf(topic), "+", "-", "COUNT", String(limit));
    return entries.reverse().map(({ bytes }) => bytes);
  }

  async #read(...parts: string[]): Promise<Entry[]> {
    return entriesOf(await this.command(...parts));
  }
}

/** Messages of the moment travel by the channel alone. */
function isKept(topic: string): boolean {
  return !topic.startsWith("\0");
}

/** The entries of a reply to `XRANGE`: `[id, [name, value, …]]` each. */
function entriesOf(reply: unknown): Entry[] {
  return (reply as [Buffer, Buffer[]][]).map(([id, fields]) => {
    const at = fields.findIndex((name, index) => index % 2 === 0 && name.toString() === field);
    // An entry that somebody else has added carries no message; topics ignore bytes that are not theirs.
    return { position: id.toString(), bytes: at < 0 ? Buffer.alloc(0) : fields[at + 1]! };
  });
}

/** A message of the channel: position, space, bytes. Undefined for those of others. */
function unframed(message: Buffer): Entry | undefined {
  // Two numbers of at most 20 digits and a hyphen stand before the space.
  const space = message.subarray(0, 42).indexOf(0x20);
  const position = message.toString("latin1", 0, Math.max(space, 0));
  return isPosition(position) ? { position, bytes: message.subarray(space + 1) } : undefined;
}

const largestPart = 2n ** 64n - 1n;

/** An ID as Redis gives it: milliseconds and a number, of 64 bits each. */
function isPosition(text: string): boolean {
  return /^\d{1,20}-\d{1,20}$/.test(text) && text.split("-").every((part) => BigInt(part) <= largestPart);
}

/** Whether `position` is newer than `other`. */
function isBehind(position: string, other: string): boolean {
  const [milliseconds = 0n, number = 0n] = position.split("-").map(BigInt);
  const [otherMilliseconds = 0n, otherNumber = 0n] = other.split("-").map(BigInt);
  return milliseconds === otherMilliseconds ? number > otherNumber : milliseconds > otherMilliseconds;
}
