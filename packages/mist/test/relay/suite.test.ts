// The cases for relays catch relays that are wrong, and pass the one in the documentation.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Relay, RelaySink } from "../../src/relay/relay.ts";
import { type RelayHarness, relayCases } from "../../src/relay/testing/testing.ts";

describe("the relay in the docstring of `Relay`", () => {
  const source = readFileSync(new URL("../../src/relay/relay.ts", import.meta.url), "utf8");
  const code = /```ts\n([\s\S]*?)```/.exec(source)![1]!.replaceAll(/^ \* ?/gm, "");
  const body = code.slice(code.indexOf("Relay {") + "Relay {".length, code.lastIndexOf("}"));
  const threads = new Function("name", body.replace("<string>", "")) as (name: string) => Relay;
  for (const { name, run } of relayCases({ create: () => threads("test") })) test(name, run);
});

type Fault =
  | "twice"
  | "out of order"
  | "topics mixed"
  | "as text"
  | "its own twice"
  | "deaf to unsubscribe"
  | "one buffer for all"
  | "everything accepted"
  | "subscriptions lost"
  | "history backwards"
  | "history with the subscription";

/** An engine in memory, and relays on it that do one thing wrong. */
class Bus {
  readonly #fault: Fault | undefined;
  readonly #relays = new Set<{
    heard(topic: string, bytes: Uint8Array, own: boolean): void;
    sink: RelaySink;
  }>();
  readonly #kept = new Map<string, Uint8Array[]>();
  readonly #buffer = new Uint8Array(100_000);
  #away = false;

  constructor(fault?: Fault) {
    this.#fault = fault;
  }

  harness(): RelayHarness {
    return {
      create: () => this.#relay(),
      publishForeign: async (topic, bytes) => this.#publish(topic, bytes),
      interrupt: async () => {
        this.#away = true;
        for (const { sink } of this.#relays) sink.disconnected(new Error("away"));
        return async () => {
          this.#away = false;
          for (const { sink } of this.#relays) sink.connected();
        };
      },
      keeps: true,
      refusesBytes: 70_000,
    };
  }

  #publish(topic: string, bytes: Uint8Array, from?: object): void {
    for (const relay of this.#relays) relay.heard(topic, bytes, relay === from);
    this.#kept.set(topic, [...(this.#kept.get(topic) ?? []), bytes]);
  }

  #relay(): Relay {
    const fault = this.#fault;
    const topics = new Set<string>();
    let count = 0;
    let held: [string, Uint8Array] | undefined;
    const give = (topic: string, bytes: Uint8Array): void => {
      if (fault === "one buffer for all") {
        this.#buffer.set(bytes);
        bytes = this.#buffer.subarray(0, bytes.length);
      }
      if (fault === "as text") bytes = Buffer.from(Buffer.from(bytes).toString());
      self.sink.receive(topic, bytes);
    };
    const self = {
      sink: undefined as unknown as RelaySink,
      heard: (topic: string, bytes: Uint8Array, own: boolean) => {
        if (
          !(fault === "topics mixed" ? [...topics].some((each) => each[0] === topic[0]) : topics.has(topic))
        )
          return;
        if (fault === "topics mixed") for (const each of topics) if (each !== topic) give(each, bytes);
        if (fault === "out of order" && held === undefined && ++count % 7 === 0) {
          held = [topic, bytes];
          return;
        }
        give(topic, bytes);
        if (held !== undefined) give(...held);
        held = undefined;
        if (fault === "twice" || (own && fault === "its own twice")) give(topic, bytes);
      },
    };
    const open = (): void => {
      this.#relays.add(self);
      if (fault === "subscriptions lost") {
        const { sink } = self;
        self.sink = {
          ...sink,
          receive: sink.receive.bind(sink),
          connected: sink.connected.bind(sink),
          disconnected: (cause) => {
            topics.clear();
            sink.disconnected(cause);
          },
        };
      }
      if (!this.#away) self.sink.connected();
    };
    return {
      open(sink) {
        self.sink = sink;
        open();
      },
      subscribe: (topic) => {
        topics.add(topic);
        if (fault === "history with the subscription")
          for (const bytes of this.#kept.get(topic) ?? []) give(topic, bytes);
      },
      unsubscribe: (topic) => void (fault === "deaf to unsubscribe" || topics.delete(topic)),
      publish: async (topic, bytes) => {
        if (bytes.length >= 70_000 && fault !== "everything accepted") throw new Error("too large");
        this.#publish(topic, bytes.slice(), self);
      },
      history: async (topic, limit) => {
        const newest = (this.#kept.get(topic) ?? []).slice(-limit);
        return fault === "history backwards" ? newest.reverse() : newest;
      },
      close: () => void this.#relays.delete(self),
    };
  }
}

describe("a relay in memory", () => {
  for (const { name, run } of relayCases(new Bus().harness())) test(name, run);
});

test.each<[Fault, RegExp]>([
  ["twice", /in order, once/],
  ["out of order", /in order, once/],
  ["topics mixed", /keeps topics apart/],
  ["as text", /bytes unchanged/],
  ["its own twice", /its own messages/],
  ["deaf to unsubscribe", /after `unsubscribe`/],
  ["one buffer for all", /does not touch/],
  ["everything accepted", /too large/],
  ["subscriptions lost", /reconnects/],
  ["history backwards", /kept the messages/],
  ["history with the subscription", /before it subscribed/],
])("the fault %j is found", async (fault, by) => {
  const found = relayCases(new Bus(fault).harness()).find(({ name }) => by.test(name))!;
  await expect(Promise.race([found.run(), waited()])).rejects.toThrow();
});

/** A message that never comes counts, too; the cases themselves wait longer. */
async function waited(): Promise<never> {
  for (let i = 0; i < 1_000; i++) await new Promise((resolve) => setImmediate(resolve));
  throw new Error("the case waits");
}
