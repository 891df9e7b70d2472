// What every relay must do, as cases that any test runner runs.

import { deepStrictEqual, ok, rejects } from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import type { Relay } from "../relay.ts";
import { RecordingSink } from "./recording-sink.ts";

/** The relay to test, and what its engine can be asked to do. Cases that need what is left out are left out. */
export interface RelayHarness {
  /** A new relay, as another process would have one, on the same engine. Cases open and close it. */
  create(): Relay;
  /** Publishes these very bytes where the relay's messages of the topic travel, as a foreign program might. */
  publishForeign?: ((topic: string, bytes: Uint8Array) => Promise<void>) | undefined;
  /** Takes the engine away from everybody. The result brings it back, at the same address. */
  interrupt?: (() => Promise<() => Promise<void>>) | undefined;
  /** The relay has `history`. Default `false`. */
  readonly keeps?: boolean | undefined;
  /** Bytes of a message that the engine must carry. Default 65 536. */
  readonly carriesBytes?: number | undefined;
  /** Bytes of a message that the engine refuses, if it refuses any. */
  readonly refusesBytes?: number | undefined;
}

/** One thing that a relay must do. */
export interface RelayCase {
  /** What it is, as the title of a test. */
  readonly name: string;
  /** Rejects with an `AssertionError` if the relay does not do it. */
  readonly run: () => Promise<void>;
}

/** Topics that an engine might take for something else. */
const oddTopics = [
  "room:7",
  "a.b.c",
  "*",
  "a.*",
  ">",
  "a.>",
  ".",
  "..",
  " ",
  "two words",
  "tab\tand\r\nlines",
  "\0presence",
  "nul\0",
  "100%",
  "%2E",
  "a/b?c#d",
  "[a-z]",
  "$SYS",
  "Größe",
  "霧 🌫️",
  "'; DROP TABLE topics; --",
  "x".repeat(255),
  "霧".repeat(255),
] as const;

/**
 * What every relay must do, one case each: order, no duplicates, own messages, subscriptions, topic names, bytes, limits,
 * foreign messages, history, reconnecting, closing.
 *
 * @example
 * ```ts
 * import { redis } from "@x/mist/relay/redis";
 * import { relayCases } from "@x/mist/relay/testing";
 * import { test } from "node:test";
 * import { createClient } from "redis";
 *
 * const create = () => redis(createClient());
 * for (const { name, run } of relayCases({ create })) test(name, run);
 * ```
 */
export function relayCases(harness: RelayHarness): readonly RelayCase[] {
  const { publishForeign, interrupt, keeps = false, carriesBytes = 65_536, refusesBytes } = harness;
  const cases: RelayCase[] = [];

  /** A case with two processes: `a` publishes, `b` listens. Both are closed behind it. */
  function add(name: string, body: (a: Process, b: Process, topic: string) => Promise<void>): void {
    const run = async (): Promise<void> => {
      const [a, b] = [await Process.start(harness), await Process.start(harness)];
      try {
        await body(a, b, `case ${randomUUID()}`);
      } finally {
        await Promise.all([a.close(), b.close()]);
      }
    };
    cases.push({ name, run });
  }

  add("connects", async (a, b) => {
    await Promise.all([a.sink.connection(), b.sink.connection()]);
  });

  add("carries messages to a subscriber, in order, once", async (a, b, topic) => {
    await b.relay.subscribe(topic);
    const sent = numbered(500);
    await Promise.all(sent.map((text) => a.relay.publish(topic, bytes(text))));
    await a.fence(b, topic);
    deepStrictEqual(b.sink.texts(topic).filter(isNumbered), sent);
  });

  add("keeps the order of each publisher when several publish at once", async (a, b, topic) => {
    await Promise.all([a.relay.subscribe(topic), b.relay.subscribe(topic)]);
    const publishing: unknown[] = [];
    for (let i = 0; i < 200; i++) {
      publishing.push(a.relay.publish(topic, bytes(`a ${i}`)), b.relay.publish(topic, bytes(`b ${i}`)));
      if (i % 20 === 0) await turn();
    }
    await Promise.all(publishing);
    await b.sink.received(topic, (texts) => texts.includes("a 199"));
    await a.sink.received(topic, (texts) => texts.includes("b 199"));
    const of = (process: Process, who: string) =>
      process.sink.texts(topic).filter((text) => text.startsWith(who));
    deepStrictEqual(
      of(b, "a"),
      Array.from({ length: 200 }, (_, i) => `a ${i}`),
    );
    deepStrictEqual(
      of(a, "b"),
      Array.from({ length: 200 }, (_, i) => `b ${i}`),
    );
  });

  add("gives a publisher its own messages once or never", async (a, b, topic) => {
    await Promise.all([a.relay.subscribe(topic), b.relay.subscribe(topic)]);
    await a.relay.publish(topic, bytes("mine"));
    await a.fence(b, topic);
    await b.fence(a, topic);
    const own = a.sink.texts(topic).filter((text) => text === "mine").length;
    ok(own <= 1, `its own message came ${own} times`);
  });

  add("resolves `publish` once the engine has the message", async (a, b, topic) => {
    await b.relay.subscribe(topic);
    await Promise.all(numbered(50).map((text) => a.relay.publish(topic, bytes(text))));
    await b.sink.received(topic, (texts) => texts.length === 50);
  });

  add("keeps topics apart, whatever their names", async (a, b) => {
    for (const topic of oddTopics) await b.relay.subscribe(topic);
    for (const topic of oddTopics) await a.relay.publish(topic, bytes(`to ${topic}`));
    for (const topic of oddTopics) {
      await b.sink.received(topic, (texts) => texts.length > 0);
      deepStrictEqual(b.sink.texts(topic), [`to ${topic}`]);
    }
  });

  add("carries bytes unchanged: none, every value, and many", async (a, b, topic) => {
    await b.relay.subscribe(topic);
    const every = Uint8Array.from({ length: 256 }, (_, i) => i);
    const large = new Uint8Array(randomBytes(carriesBytes));
    // A view into a larger buffer, as a pool gives it.
    const view = new Uint8Array(Buffer.from("--\r\nPING\r\n--").buffer.slice(0)).subarray(0, 4);
    const sent = [new Uint8Array(0), every, large, view];
    for (const message of sent) await a.relay.publish(topic, message);
    await b.sink.received(topic, (texts) => texts.length === sent.length);
    deepStrictEqual(
      b.sink.messages(topic).map((message) => Buffer.from(message)),
      sent.map((message) => Buffer.from(message)),
    );
  });

  if (refusesBytes !== undefined) {
    add("rejects a message that is too large, and goes on", async (a, b, topic) => {
      await b.relay.subscribe(topic);
      await rejects(async () => a.relay.publish(topic, new Uint8Array(refusesBytes)));
      await a.relay.publish(topic, bytes("small"));
      await b.sink.received(topic, (texts) => texts.length > 0);
      deepStrictEqual(b.sink.texts(topic), ["small"]);
      deepStrictEqual(a.sink.losses, 0);
    });
  }

  add("does not touch what it was given, nor what it has given", async (a, b, topic) => {
    await b.relay.subscribe(topic);
    const message = bytes("first");
    await a.relay.publish(topic, message);
    await b.sink.received(topic, (texts) => texts.length === 1);
    deepStrictEqual(Buffer.from(message).toString(), "first");
    await Promise.all(numbered(200).map((text) => a.relay.publish(topic, bytes(text))));
    await b.sink.received(topic, (texts) => texts.length === 201);
    deepStrictEqual(Buffer.from(b.sink.messages(topic)[0]!).toString(), "first");
  });

  add("hears nothing after `unsubscribe`, and again after `subscribe`", async (a, b, topic) => {
    await b.relay.subscribe(topic);
    await a.relay.publish(topic, bytes("heard"));
    await b.sink.received(topic, (texts) => texts.length === 1);
    await b.relay.unsubscribe(topic);
    const before = b.sink.texts(topic).length;
    await a.relay.publish(topic, bytes("not heard"));
    await b.relay.subscribe(`${topic} fence`);
    await a.fence(b, `${topic} fence`);
    deepStrictEqual(b.sink.texts(topic).length, before);
    await b.relay.subscribe(topic);
    await a.relay.publish(topic, bytes("heard again"));
    await b.sink.received(topic, (texts) => texts.length === 2);
    deepStrictEqual(b.sink.texts(topic), ["heard", "heard again"]);
  });

  add("is subscribed once, however often it came and went", async (a, b, topic) => {
    const comingAndGoing: unknown[] = [];
    for (let i = 0; i < 20; i++) {
      comingAndGoing.push(b.relay.subscribe(topic), b.relay.unsubscribe(topic));
    }
    await Promise.all(comingAndGoing);
    await b.relay.subscribe(topic);
    await Promise.all(numbered(20).map((text) => a.relay.publish(topic, bytes(text))));
    await a.fence(b, topic);
    deepStrictEqual(b.sink.texts(topic).filter(isNumbered), numbered(20));
  });

  if (publishForeign !== undefined) {
    add("survives what foreign programs publish on its topics", async (a, b, topic) => {
      await b.relay.subscribe(topic);
      const foreign = [
        "",
        "hello",
        "{}",
        "0",
        "1-1",
        "1-1 ",
        "-",
        "99999999999999999999999-1 x",
        "\0\r\n$-1\r\n",
      ];
      for (const text of foreign) await publishForeign(topic, bytes(text));
      await publishForeign(topic, new Uint8Array(randomBytes(1_000)));
      await a.relay.publish(topic, bytes("ours"));
      await b.sink.received(topic, (texts) => texts.includes("ours"));
      deepStrictEqual(b.sink.losses, 0);
    });
  }

  add("after `close`, others go on", async (a, b, topic) => {
    const c = await Process.start(harness);
    try {
      await Promise.all([b.relay.subscribe(topic), c.relay.subscribe(topic)]);
      await b.close();
      await a.relay.publish(topic, bytes("afterwards"));
      await c.sink.received(topic, (texts) => texts.length === 1);
    } finally {
      await c.close();
    }
  });

  cases.push({
    name: "can be closed before it has connected",
    run: async () => {
      const relay = harness.create();
      const sink = new RecordingSink();
      void relay.open(sink);
      await relay.close();
    },
  });

  if (keeps) addHistory(add);

  if (interrupt !== undefined) {
    add("reconnects, with its subscriptions", async (a, b, topic) => {
      await b.relay.subscribe(topic);
      const lost = Promise.all([a.sink.loss(), b.sink.loss()]);
      const restore = await interrupt();
      await lost;
      // Wanted and not wanted while the engine is away.
      void b.relay.subscribe(`${topic} new`);
      void b.relay.subscribe(`${topic} gone`);
      void b.relay.unsubscribe(`${topic} gone`);
      const back = Promise.all([a.sink.connection(), b.sink.connection()]);
      await restore();
      await back;
      await Promise.all(numbered(20).map((text) => a.relay.publish(topic, bytes(text))));
      await a.relay.publish(`${topic} gone`, bytes("nobody"));
      await a.relay.publish(`${topic} new`, bytes("hello"));
      await b.sink.received(`${topic} new`, (texts) => texts.length > 0);
      await a.fence(b, topic);
      deepStrictEqual(b.sink.texts(topic).filter(isNumbered), numbered(20));
      deepStrictEqual(b.sink.texts(`${topic} gone`), []);
      deepStrictEqual(b.sink.texts(`${topic} new`), ["hello"]);
    });

    add("can be closed while the engine is away", async (a, b, topic) => {
      await b.relay.subscribe(topic);
      const lost = Promise.all([a.sink.loss(), b.sink.loss()]);
      const restore = await interrupt();
      try {
        await lost;
        await Promise.all([a.close(), b.close()]);
      } finally {
        await restore();
      }
    });
  }
  return cases;
}

type Add = (name: string, body: (a: Process, b: Process, topic: string) => Promise<void>) => void;

/** For engines that keep messages. */
function addHistory(add: Add): void {
  add("has kept the messages, and gives the newest, oldest first", async (a, b, topic) => {
    const history = async (limit: number): Promise<string[]> =>
      (await a.relay.history!(topic, limit)).map((message) => Buffer.from(message).toString());
    deepStrictEqual(await history(100), []);
    await Promise.all(numbered(10).map((text) => b.relay.publish(topic, bytes(text))));
    deepStrictEqual(await history(100), numbered(10));
    deepStrictEqual(await history(3), numbered(10).slice(7));
  });

  add("does not receive what was published before it subscribed", async (a, b, topic) => {
    await a.relay.publish(topic, bytes("before"));
    await b.relay.subscribe(topic);
    await a.relay.publish(topic, bytes("after"));
    await b.sink.received(topic, (texts) => texts.includes("after"));
    deepStrictEqual(b.sink.texts(topic), ["after"]);
  });
}

/** A relay and what it has reported. */
class Process {
  readonly relay: Relay;
  readonly sink: RecordingSink = new RecordingSink();
  #closed = false;

  private constructor(relay: Relay) {
    this.relay = relay;
  }

  static async start(harness: RelayHarness): Promise<Process> {
    const process = new Process(harness.create());
    void process.relay.open(process.sink);
    await process.sink.connection();
    return process;
  }

  /** Resolves when what this process has published to the topic has arrived at the other one, if it arrives at all. */
  async fence(other: Process, topic: string): Promise<void> {
    const text = `fence ${randomUUID()}`;
    await this.relay.publish(topic, bytes(text));
    await other.sink.received(topic, (texts) => texts.includes(text));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.relay.close();
  }
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

/** `"message 0"` and so on. */
function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `message ${i}`);
}

function isNumbered(text: string): boolean {
  return text.startsWith("message ");
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
