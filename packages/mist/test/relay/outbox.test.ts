// What waits for an engine: order, bounds, and what is sent again.

import { describe, expect, test } from "vitest";
import { Outbox, type Undelivered } from "../../src/relay/outbox.ts";

class Engine {
  readonly sent: string[] = [];
  readonly dropped: [string, Undelivered][] = [];
  readonly answers: PromiseWithResolversOf<void>[] = [];
  now = 0;
  /** What `publish` does with a message; by default it leaves the answer open. */
  take: () => Promise<void> | void = () => {
    const answer = withResolvers();
    this.answers.push(answer);
    return answer.promise;
  };

  outbox(limits: { maxBytes?: number; maxAgeMs?: number } = {}): Outbox {
    return new Outbox(
      {
        publish: (topic, bytes) => {
          this.sent.push(`${topic} ${Buffer.from(bytes)}`);
          return this.take();
        },
      },
      {
        maxBytes: 1000,
        maxAgeMs: 1000,
        dropped: (topic, reason) => this.dropped.push([topic, reason]),
        now: () => this.now,
        ...limits,
      },
    );
  }
}

interface PromiseWithResolversOf<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

function withResolvers(): PromiseWithResolversOf<void> {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const bytes = (text: string) => Buffer.from(text);

/** Lets settled promises have their say. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("while the engine is there", () => {
  test("sends at once, and forgets what was taken", async () => {
    const engine = new Engine();
    const outbox = engine.outbox();
    outbox.connected();
    outbox.publish("t", bytes("one"));
    expect(engine.sent).toEqual(["t one"]);
    expect(outbox.bytes).toBe(3);
    let drained = false;
    void outbox.drained().then(() => (drained = true));
    await settled();
    expect(drained).toBe(false);
    engine.answers[0]!.resolve();
    await settled();
    expect([outbox.bytes, drained]).toEqual([0, true]);
  });

  test("a relay without promises has taken everything at once", () => {
    const engine = new Engine();
    engine.take = () => {};
    const outbox = engine.outbox({ maxBytes: 3 });
    outbox.connected();
    for (let i = 0; i < 10; i++) outbox.publish("t", bytes("one"));
    expect([engine.sent.length, outbox.bytes, engine.dropped]).toEqual([10, 0, []]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("too large");
      },
    ],
    ["rejects", () => Promise.reject(new Error("too large"))],
  ])("drops what the relay refuses: %s", async (_how, take) => {
    const engine = new Engine();
    engine.take = take;
    const outbox = engine.outbox();
    outbox.connected();
    outbox.publish("t", bytes("one"));
    await settled();
    expect([engine.dropped, outbox.bytes]).toEqual([[["t", "refused"]], 0]);
    outbox.disconnected();
    outbox.connected();
    expect(engine.sent).toEqual(["t one"]);
  });

  test("bounds what a hanging engine does not take, and never expires what it may have", () => {
    const engine = new Engine();
    const outbox = engine.outbox({ maxBytes: 7 });
    outbox.connected();
    for (const text of ["one", "two", "six"]) outbox.publish("t", bytes(text));
    engine.now = 5000;
    outbox.publish("t", bytes("ten"));
    expect(engine.sent).toEqual(["t one", "t two"]);
    expect(engine.dropped).toEqual([
      ["t", "full"],
      ["t", "full"],
    ]);
  });
});

describe("while the engine is away", () => {
  test("keeps the messages, and sends them in order when it is back", () => {
    const engine = new Engine();
    const outbox = engine.outbox();
    for (const text of ["one", "two"]) outbox.publish("t", bytes(text));
    expect(engine.sent).toEqual([]);
    outbox.connected();
    outbox.connected();
    outbox.publish("t", bytes("three"));
    expect(engine.sent).toEqual(["t one", "t two", "t three"]);
  });

  test("sends again what a lost connection left open, whether its promise rejects or not", async () => {
    const engine = new Engine();
    const outbox = engine.outbox();
    outbox.connected();
    for (const text of ["one", "two", "three"]) outbox.publish("t", bytes(text));
    engine.answers[0]!.resolve();
    outbox.disconnected();
    engine.answers[1]!.reject(new Error("connection lost"));
    await settled();
    outbox.connected();
    expect(engine.sent).toEqual(["t one", "t two", "t three", "t two", "t three"]);
    // An answer to the first attempt that is late says nothing about the second.
    engine.answers[2]!.reject(new Error("connection lost"));
    await settled();
    expect([engine.dropped, outbox.bytes]).toEqual([[], 8]);
    engine.answers[3]!.resolve();
    engine.answers[4]!.resolve();
    await settled();
    expect(outbox.bytes).toBe(0);
  });

  test("drops what is too old, and what does not fit", () => {
    const engine = new Engine();
    const outbox = engine.outbox({ maxBytes: 8, maxAgeMs: 100 });
    outbox.publish("t", bytes("old"));
    engine.now = 60;
    outbox.publish("t", bytes("young"));
    outbox.publish("t", bytes("much"));
    expect(engine.dropped).toEqual([["t", "full"]]);
    engine.now = 101;
    outbox.connected();
    expect(engine.dropped).toEqual([
      ["t", "full"],
      ["t", "expired"],
    ]);
    expect(engine.sent).toEqual(["t young"]);
  });

  test("what is too old makes room", () => {
    const engine = new Engine();
    const outbox = engine.outbox({ maxBytes: 3, maxAgeMs: 100 });
    outbox.publish("t", bytes("old"));
    engine.now = 200;
    outbox.publish("t", bytes("new"));
    outbox.connected();
    expect([engine.sent, engine.dropped]).toEqual([["t new"], [["t", "expired"]]]);
  });
});
