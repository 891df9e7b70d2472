// A relay on NATS, by its own client. A topic is a subject below a prefix.

import { setTimeout as sleep } from "node:timers/promises";
import {
  connect,
  type NatsConnection,
  type NodeConnectionOptions,
  type Subscription,
} from "@nats-io/transport-node";
import { checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Relay, RelaySink } from "../relay.ts";

/** Between two questions to the server whether it has read everything. Until then the outbox keeps the messages. */
const pingPauseMs = 5;

/** Options of {@link nats}. */
export interface NatsRelayOptions {
  /** What subjects begin with; one per application that shares the broker. Default `"mist"`. */
  readonly prefix?: string | undefined;
}

/**
 * A relay on NATS. A topic `room:7` is the subject `mist.room%3A7`.
 *
 * Given a connection, the relay uses it and leaves it open: whoever made it closes it, and its options decide how long it
 * reconnects (by default 10 attempts). Given options of the client, the relay connects by itself, tries for ever, and
 * closes its connection with the topics.
 *
 * NATS delivers at most once: what is published while a process is away never reaches it. Messages are at most as large
 * as the server's `max_payload` (1 MiB).
 *
 * @throws UsageError for a prefix that is no subject
 *
 * @example
 * ```ts
 * import { nats } from "@x/mist/relay/nats";
 *
 * const topics = mist.topics({ relay: nats({ servers: "nats://localhost:4222" }) });
 * ```
 */
export function nats(
  connection: NatsConnection | NodeConnectionOptions,
  options: NatsRelayOptions = {},
): Relay {
  checkNames("nats", options, ["prefix"]);
  const { prefix = "mist" } = options;
  if (typeof prefix !== "string" || !/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(prefix)) {
    throw new UsageError(`prefix must be a subject without wildcards, got ${shown(prefix)}`);
  }
  return new NatsRelay(connection, prefix);
}

class NatsRelay implements Relay {
  readonly #given: NatsConnection | undefined;
  readonly #options: NodeConnectionOptions;
  readonly #prefix: string;
  readonly #closed = new AbortController();
  /** Of topics that this process wants; undefined until there is a connection. */
  readonly #subscriptions = new Map<string, Subscription | undefined>();
  #sink!: RelaySink;
  #connection: NatsConnection | undefined;
  /** The answer to the next PING, for everything that was written since the last one. */
  #confirmation: Promise<void> | undefined;
  /** The PING that is under way. */
  #ping: Promise<void> = Promise.resolve();
  /** Resolves when the next one may be sent. */
  #pause: Promise<void> | undefined;

  constructor(connection: NatsConnection | NodeConnectionOptions, prefix: string) {
    this.#given = isConnection(connection) ? connection : undefined;
    this.#options = isConnection(connection) ? {} : { maxReconnectAttempts: -1, ...connection };
    this.#prefix = prefix;
  }

  open(sink: RelaySink): void {
    this.#sink = sink;
    if (this.#given !== undefined) void this.#use(this.#given);
    else void this.#keepConnected();
  }

  async #keepConnected(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        // It connects again by itself; this loop is for the first time, and for errors that it takes for final.
        await this.#use(await connect({ ...this.#options, waitOnFirstConnect: false }));
      } catch (error) {
        if (!signal.aborted) this.#sink.disconnected(error);
      }
      await sleep(this.#options.reconnectTimeWait ?? 2_000, undefined, { signal }).catch(() => {});
    }
  }

  /** Resolves when the connection is closed for good. */
  async #use(connection: NatsConnection): Promise<void> {
    this.#connection = connection;
    // What was asked of a connection that is closed is never answered.
    this.#confirmation = undefined;
    this.#ping = Promise.resolve();
    if (this.#closed.signal.aborted) return this.close();
    const changes = connection.status();
    for (const topic of this.#subscriptions.keys()) this.#begin(connection, topic);
    this.#greet();
    for await (const change of changes) {
      if (this.#closed.signal.aborted) return;
      if (change.type === "disconnect")
        this.#sink.disconnected(new Error(`disconnected from ${change.server}`));
      if (change.type === "reconnect") this.#greet();
    }
    if (this.#closed.signal.aborted) return;
    this.#sink.disconnected((await connection.closed()) ?? new Error("the NATS connection was closed"));
  }

  /** The client has sent the subscriptions; the answer to a PING says that the server has them. */
  #greet(): void {
    this.#confirm().then(
      () => this.#closed.signal.aborted || this.#sink.connected(),
      () => {},
    );
  }

  subscribe(topic: string): Promise<void> | void {
    this.#subscriptions.set(topic, undefined);
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    return this.#begin(connection, topic);
  }

  async #begin(connection: NatsConnection, topic: string): Promise<void> {
    let refused: Error | undefined;
    const callback: Subscription["callback"] = (error, message) => {
      if (error !== null) refused = error;
      else this.#sink.receive(topic, message.data);
    };
    this.#subscriptions.set(topic, connection.subscribe(this.#subjectOf(topic), { callback }));
    // A connection that breaks meanwhile subscribes again by itself.
    await this.#confirm().catch(() => {});
    if (refused === undefined) return;
    this.unsubscribe(topic);
    throw refused;
  }

  unsubscribe(topic: string): void {
    this.#subscriptions.get(topic)?.unsubscribe();
    this.#subscriptions.delete(topic);
  }

  publish(topic: string, bytes: Uint8Array): Promise<void> {
    this.#connection!.publish(this.#subjectOf(topic), bytes);
    return this.#confirm();
  }

  /** Resolves when the server has read everything that was written until now. */
  #confirm(): Promise<void> {
    this.#confirmation ??= this.#askServer();
    return this.#confirmation;
  }

  async #askServer(): Promise<void> {
    // A PING and its answer cost as much as a message, so under load one serves many.
    await Promise.all([this.#ping.catch(() => {}), this.#pause]);
    this.#pause = sleep(pingPauseMs, undefined, { ref: false });
    this.#confirmation = undefined;
    this.#ping = this.#connection!.flush();
    try {
      await this.#ping;
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#sink.disconnected(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const subscription of this.#subscriptions.values()) subscription?.unsubscribe();
    this.#subscriptions.clear();
    if (this.#given === undefined) await this.#connection?.close();
  }

  /** Dots, wildcards, spaces and whatever is not ASCII stand in no token of a subject. */
  #subjectOf(topic: string): string {
    return `${this.#prefix}.${encodeURIComponent(topic).replaceAll(".", "%2E").replaceAll("*", "%2A")}`;
  }
}

function isConnection(value: NatsConnection | NodeConnectionOptions): value is NatsConnection {
  return "publish" in value;
}
