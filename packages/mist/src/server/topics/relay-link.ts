// Topics on one side, a relay on the other: envelopes out and in, what waits while the broker is away, and whether it is.

import { clock, harmless } from "@x/glisten/kit";
import { Outbox } from "../../relay/outbox.ts";
import type { Relay, RelaySink } from "../../relay/relay.ts";
import { decodeEnvelope, encodeEnvelope, type Opened } from "./envelope.ts";
import { type Content, sizeOf } from "./message.ts";
import type { TopicsSettings } from "./options.ts";
import {
  type TopicsDroppedEvent,
  type TopicsErrorEvent,
  type TopicsState,
  type TopicsStateEvent,
  topicsDropped,
  topicsError,
  topicsState,
} from "./telemetry.ts";

/** Tells of a message that is lost. */
export function drop(event: TopicsDroppedEvent): void {
  if (topicsDropped.hasSubscribers) topicsDropped.publish(event);
}

/** What the link tells the topics. */
export interface LinkHost {
  /** Somebody has published; maybe this process itself, and maybe not for the first time. */
  received(topic: string, message: Opened): void;
  /** There is a connection again. */
  reconnected(): void;
}

/** How far ahead of ours another process's clock may be; microseconds. */
const maxAheadUs = 3_600_000_000;
/** How long a member that comes back waits for the relay to say what it has missed, in milliseconds. */
const readyTimeoutMs = 5_000;
/** How long `close` waits for the broker to take what was published, in milliseconds. */
const drainTimeoutMs = 2_000;

export class RelayLink implements RelaySink {
  readonly #relay: Relay;
  readonly #host: LinkHost;
  readonly #outbox: Outbox;
  readonly #maxMessageBytes: number;
  #state: TopicsState = "connecting";
  #wasConnected = false;
  /** Those that wait for the relay and are not to wait for one that is away. */
  readonly #waiting = new Set<() => void>();

  constructor(
    relay: Relay,
    host: LinkHost,
    { unsent, maxMessageBytes }: Pick<TopicsSettings, "unsent" | "maxMessageBytes">,
  ) {
    this.#relay = relay;
    this.#host = host;
    this.#maxMessageBytes = maxMessageBytes;
    this.#outbox = new Outbox(relay, {
      maxBytes: unsent.bytes,
      maxAgeMs: unsent.maxAgeMs,
      dropped: (topic, reason, cause) => drop({ topic, reason, cause }),
    });
  }

  /** Lets the relay connect. */
  open(): void {
    const failed = (error: unknown): void => this.disconnected(error);
    attempt(() => this.#relay.open(this), failed);
  }

  get state(): TopicsState {
    return this.#state;
  }

  /** Whether the engine keeps messages. */
  get keeps(): boolean {
    return this.#relay.history !== undefined;
  }

  publish(topic: string, origin: string, time: number, content: Content): void {
    if (this.#state === "closed") return;
    this.#outbox.publish(topic, encodeEnvelope(origin, time, content));
  }

  /** Resolves, with true, when nothing of the topic is missed any more; with false if that is not to be waited for. */
  subscribe(topic: string, subscribed: () => void): Promise<boolean> {
    return this.#soon(topic, async () => {
      await this.#relay.subscribe(topic);
      subscribed();
      return true;
    }).then((done) => done ?? false);
  }

  unsubscribe(topic: string): void {
    attempt(
      () => this.#relay.unsubscribe(topic),
      (error) => fail({ topic, error }),
    );
  }

  /** The last messages that the engine has kept, oldest first. */
  async kept(topic: string, limit: number): Promise<readonly Opened[]> {
    const { history } = this.#relay;
    if (history === undefined) return [];
    const kept = await this.#soon(topic, () => history.call(this.#relay, topic, limit));
    return (kept ?? []).flatMap((bytes) => this.#read(topic, bytes) ?? []);
  }

  /** Sends what waits, and ends the relay. */
  async close(): Promise<void> {
    const wasConnected = this.#state === "connected";
    this.#state = "closed";
    this.#wake();
    if (wasConnected) await this.#within(drainTimeoutMs, this.#outbox.drained());
    this.#outbox.disconnected();
    try {
      await this.#relay.close();
    } catch (error) {
      fail({ topic: undefined, error });
    }
    tell({ state: "closed" });
  }

  // ── what the relay tells ──────────────────────────────────────────────────────────────────────────────────

  receive(topic: string, bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    const message = this.#read(topic, bytes);
    if (message !== undefined) this.#host.received(topic, message);
  }

  connected(): void {
    if (this.#state === "connected" || this.#state === "closed") return;
    this.#state = "connected";
    const again = this.#wasConnected;
    this.#wasConnected = true;
    this.#outbox.connected();
    if (again) this.#host.reconnected();
    tell({ state: "connected" });
  }

  disconnected(cause: unknown): void {
    if (this.#state === "disconnected" || this.#state === "closed") return;
    this.#state = "disconnected";
    this.#outbox.disconnected();
    this.#wake();
    tell({ state: "disconnected", cause });
  }

  // ── below ─────────────────────────────────────────────────────────────────────────────────────────────────

  #read(topic: string, bytes: Uint8Array): Opened | undefined {
    const message = bytes instanceof Uint8Array ? decodeEnvelope(bytes) : undefined;
    if (message === undefined || message.time > clock.wallTime() * 1000 + maxAheadUs) {
      drop({ topic, reason: "malformed" });
      return undefined;
    }
    if (sizeOf(message.content) > this.#maxMessageBytes) {
      drop({ topic, reason: "too-large" });
      return undefined;
    }
    return message;
  }

  /** What the relay answers; undefined if it fails, is away, or takes too long. */
  #soon<Value>(topic: string, ask: () => Promise<Value>): Promise<Value | undefined> {
    const asked = ask().catch((error: unknown) => {
      fail({ topic, error });
      return undefined;
    });
    if (this.#state === "disconnected" || this.#state === "closed") return Promise.resolve(undefined);
    return this.#within(readyTimeoutMs, asked);
  }

  async #within<Value>(ms: number, work: Promise<Value>): Promise<Value | undefined> {
    let wake!: () => void;
    const enough = new Promise<undefined>((resolve) => {
      wake = () => resolve(undefined);
    });
    const timer = clock.setTimer(wake, ms);
    this.#waiting.add(wake);
    try {
      return await Promise.race([work, enough]);
    } finally {
      clock.clearTimer(timer);
      this.#waiting.delete(wake);
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** Calls what may fail at once, later, or not at all. */
function attempt(call: () => Promise<void> | void, failed: (error: unknown) => void): void {
  try {
    const pending = call();
    if (pending !== undefined) harmless(pending.catch(failed));
  } catch (error) {
    failed(error);
  }
}

function tell(event: TopicsStateEvent): void {
  if (topicsState.hasSubscribers) topicsState.publish(event);
}

/** Tells of a failure that nobody called for. */
export function fail(event: TopicsErrorEvent): void {
  if (topicsError.hasSubscribers) topicsError.publish(event);
}
