// Topics as Redis channels, on one connection: RESP3 carries messages and replies side by side.
//
// node-redis connects again and renews what the server had confirmed. What was under way when a connection broke is
// forgotten by it, so this file keeps its own list, and goes through it with every new connection.

import { setTimeout as sleep } from "node:timers/promises";
import { RESP_TYPES, type RedisClientType } from "redis";
import type { Relay, RelaySink } from "../relay.ts";

type Client = RedisClientType<Record<never, never>, Record<never, never>, Record<never, never>, 3>;

/** Bytes arrive as bytes, not decoded as UTF-8. */
const asBuffers = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

/** How long to wait before another client takes the place of one that cannot go on. */
const replaceAfterMs = 500;

/** A server that loads its data, has become a replica, or runs a long script. */
const notServing = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY) /;

/** What the relay needs of a node-redis client: that it makes another one like itself. */
export interface RedisClientLike {
  /** A client with the same options and these. */
  duplicate(overrides: {
    readonly RESP: 3;
    readonly disableOfflineQueue: true;
    readonly maintNotifications: "disabled";
  }): unknown;
  /** Tells a client from a cluster, which has no such property. */
  readonly isPubSubActive: boolean;
}

/** A topic that this process wants. */
export interface Subscription {
  readonly topic: string;
  readonly channel: string;
  /** The server has confirmed it. */
  confirmed: boolean;
  /** Called with every message of the channel. */
  readonly listener: (message: Buffer) => void;
}

/** Messages travel by `PUBLISH`. */
export class RedisPubSub<S extends Subscription = Subscription> implements Relay {
  readonly #prefix: string;
  readonly #model: RedisClientLike;
  /** By topic. */
  protected readonly subscriptions: Map<string, S> = new Map();
  /** Nobody wants them any more, and the server does not know yet. */
  readonly #leaving = new Set<Subscription>();
  readonly #closed = new AbortController();
  #client!: Client;
  /** It is given up, and the next one not there yet. */
  #replaced = false;
  /** Grows with every connection. */
  #epoch = 0;
  /** The connection takes commands; what was wanted before has begun. */
  #isServing = false;
  protected sink!: RelaySink;

  constructor(model: RedisClientLike, prefix: string) {
    this.#model = model;
    this.#prefix = prefix;
  }

  open(sink: RelaySink): void {
    this.sink = sink;
    this.#connect();
  }

  #connect(): void {
    // Nothing waits in the client's own queue: the messages of a lost connection are published again in order, and
    // none must overtake them.
    const client = this.#model.duplicate({
      RESP: 3,
      disableOfflineQueue: true,
      maintNotifications: "disabled",
    }) as Client;
    this.#client = client;
    this.#replaced = false;
    client.on("ready", () => void this.#renew());
    client.on("error", (error) => {
      if (this.#closed.signal.aborted || client !== this.#client || this.#replaced) return;
      // A client that takes itself for connected has lost its place in the server's bytes.
      if (client.isReady) void this.#replace(error);
      else this.#lost(error);
    });
    client.connect().catch((error) => {
      if (!this.#closed.signal.aborted) this.sink.disconnected(error);
    });
  }

  #lost(error: unknown): void {
    this.#isServing = false;
    this.interrupted();
    this.sink.disconnected(error);
  }

  /** Begins anew with another client. */
  async #replace(error: unknown): Promise<void> {
    if (this.#replaced) return;
    this.#replaced = true;
    this.#lost(error);
    this.#client.destroy();
    for (const subscription of this.subscriptions.values()) subscription.confirmed = false;
    this.#leaving.clear();
    const { signal } = this.#closed;
    await sleep(replaceAfterMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) this.#connect();
  }

  /** A reply. If it says that this server does not serve for the time being, the connection counts as lost. */
  async #reply<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      if (error instanceof Error && notServing.test(error.message)) void this.#replace(error);
      throw error;
    }
  }

  /** A connection is there, with the subscriptions that had been confirmed. */
  async #renew(): Promise<void> {
    const epoch = ++this.#epoch;
    // Of messages sent together, a server that has just loaded its data may refuse the first and take the last.
    await this.probe().catch(() => {});
    if (epoch !== this.#epoch || !this.#client.isReady) return;
    this.#isServing = true;
    for (const subscription of this.#leaving) void this.#leave(subscription);
    await Promise.allSettled([...this.subscriptions.values()].map((each) => this.#start(each)));
    if (epoch !== this.#epoch || !this.#client.isReady) return;
    this.sink.connected();
  }

  subscribe(topic: string): Promise<void> | void {
    const subscription = this.subscriptionOf(topic, this.channelOf(topic));
    this.subscriptions.set(topic, subscription);
    if (this.#isServing) return this.#start(subscription);
  }

  async #start(subscription: S): Promise<void> {
    try {
      await this.begin(subscription);
    } catch (error) {
      // A lost connection is no refusal: the next one begins again.
      if (!this.#client.isReady) return;
      if (this.subscriptions.get(subscription.topic) === subscription) this.unsubscribe(subscription.topic);
      throw error;
    }
  }

  /** Of a topic that this process wants from now on. */
  protected subscriptionOf(topic: string, channel: string): S {
    const subscription: Subscription = {
      topic,
      channel,
      confirmed: false,
      listener: (message) => {
        if (this.subscriptions.get(topic) === subscription) this.sink.receive(topic, message);
      },
    };
    return subscription as S;
  }

  /** Resolves when the server has the subscription; called again with every connection. */
  protected async begin(subscription: S): Promise<void> {
    if (subscription.confirmed) return;
    await this.#reply(this.#client.subscribe(subscription.channel, subscription.listener, true));
    subscription.confirmed = true;
  }

  /** Fails as `publish` would while the server does not serve. */
  protected probe(): Promise<unknown> {
    return this.command("PING");
  }

  /** The connection is lost. */
  protected interrupted(): void {}

  unsubscribe(topic: string): void {
    const subscription = this.subscriptions.get(topic);
    if (subscription === undefined) return;
    this.subscriptions.delete(topic);
    this.#leaving.add(subscription);
    if (this.#isServing) void this.#leave(subscription);
  }

  async #leave(subscription: Subscription): Promise<void> {
    try {
      await this.#client.unsubscribe(subscription.channel, subscription.listener, true);
      this.#leaving.delete(subscription);
    } catch {
      // The connection is lost. The client would renew the subscription, so the next connection ends it.
    }
  }

  async publish(topic: string, bytes: Uint8Array): Promise<void> {
    await this.#reply(this.#client.publish(this.channelOf(topic), asBuffer(bytes)));
  }

  /** Sends a command whose reply carries bytes. */
  protected command(...parts: (string | Buffer)[]): Promise<unknown> {
    return this.#reply(this.#client.sendCommand(parts, asBuffers));
  }

  protected channelOf(topic: string): string {
    return `${this.#prefix}:${topic}`;
  }

  close(): void {
    this.#closed.abort();
    this.subscriptions.clear();
    if (this.#client.isOpen) this.#client.destroy();
  }
}

/** The same bytes, as node-redis takes them. */
export function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
