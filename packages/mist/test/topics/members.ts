// Members without sockets, and a broker without a network.

import type { Buffer } from "node:buffer";
import type * as mist from "../../src/index.ts";
import { readServerFrames } from "../websocket/client-frames.ts";

/** A member that takes everything, until it is told to be slow. */
export class FakeSocket {
  readonly heard: string[] = [];
  blocked = false;
  open = true;
  closedWith: number | undefined;
  #catchUp: () => void = () => {};
  #down: (() => void) | undefined;
  /** Called with every message that it is sent. */
  onHeard: (text: string) => void = () => {};

  readonly subject = {
    monitor: (receiver: () => void): (() => void) => {
      this.#down = receiver;
      return () => {
        this.#down = undefined;
      };
    },
  };

  get watched(): boolean {
    return this.#down !== undefined;
  }

  sendPrepared(frame: mist.PreparedFrame): Promise<void> {
    const text = textOf(frame);
    this.heard.push(text);
    this.onHeard(text);
    if (!this.blocked) return Promise.resolve();
    return new Promise((resolve) => {
      this.#catchUp = resolve;
    });
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  /** The client takes what it was sent. */
  async catchUp(): Promise<void> {
    this.blocked = false;
    this.#catchUp();
    await Promise.resolve();
    await Promise.resolve();
  }

  /** The connection ends. */
  end(): void {
    this.open = false;
    this.#down?.();
  }
}

function textOf(frame: mist.PreparedFrame): string {
  const bytes = (frame as unknown as { bytesFor(deflate: undefined, threshold: number): Buffer }).bytesFor(
    undefined,
    0,
  );
  return readServerFrames(bytes).frames[0]!.payload.toString();
}

/** Carries messages between the relays it gives, in the next turn of the event loop, as long as it is up. */
export class Broker {
  readonly relays = new Set<BrokerRelay>();
  readonly #kept = new Map<string, Uint8Array[]>();
  readonly keeps: boolean;
  up = true;

  constructor({ keeps = false }: { readonly keeps?: boolean } = {}) {
    this.keeps = keeps;
  }

  relay(): BrokerRelay {
    const relay = new BrokerRelay(this);
    this.relays.add(relay);
    return relay;
  }

  stop(): void {
    this.up = false;
    for (const relay of this.relays) relay.sink?.disconnected(new Error("the broker is gone"));
  }

  start(): void {
    this.up = true;
    for (const relay of this.relays) relay.sink?.connected();
  }

  leave(relay: BrokerRelay): void {
    this.relays.delete(relay);
  }

  carry(topic: string, bytes: Uint8Array): void {
    if (this.keeps) this.#kept.set(topic, [...(this.#kept.get(topic) ?? []), bytes]);
    for (const relay of this.relays) if (relay.topics.has(topic)) relay.sink?.receive(topic, bytes);
  }

  kept(topic: string, limit: number): readonly Uint8Array[] {
    return (this.#kept.get(topic) ?? []).slice(-limit);
  }
}

export class BrokerRelay implements mist.Relay {
  readonly topics = new Set<string>();
  sink: mist.RelaySink | undefined;
  readonly #broker: Broker;
  declare history?: NonNullable<mist.Relay["history"]>;

  constructor(broker: Broker) {
    this.#broker = broker;
    if (broker.keeps) this.history = async (topic, limit) => broker.kept(topic, limit);
  }

  async open(sink: mist.RelaySink): Promise<void> {
    this.sink = sink;
    await turn();
    if (this.#broker.up) sink.connected();
  }

  async subscribe(topic: string): Promise<void> {
    await turn();
    this.topics.add(topic);
  }

  unsubscribe(topic: string): void {
    this.topics.delete(topic);
  }

  async publish(topic: string, bytes: Uint8Array): Promise<void> {
    await turn();
    if (!this.#broker.up) throw new Error("the broker is gone");
    this.#broker.carry(topic, bytes);
  }

  close(): void {
    this.#broker.leave(this);
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Waits, a turn of the event loop at a time, until it is so. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
