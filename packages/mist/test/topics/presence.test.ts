// Who is present under which name, in processes on one broker.

import { Buffer } from "node:buffer";
import diagnostics_channel from "node:diagnostics_channel";
import { type VirtualClock, virtualClock } from "@x/glisten/testing";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { encodeEnvelope } from "../../src/server/topics/envelope.ts";
import { Broker, FakeSocket, turn, until } from "./members.ts";

let clock: VirtualClock;
beforeEach(() => {
  clock = virtualClock();
});
afterEach(() => {
  clock[Symbol.dispose]();
});

const settled = async (): Promise<void> => {
  for (let i = 0; i < 8; i++) await turn();
};

async function process(broker: Broker) {
  const topics = mist.topics({ relay: broker.relay(), presence: true });
  onTestFinished(() => topics.close());
  await until(() => topics.state === "connected");
  await settled();
  const join = (name: string, topic = "room") => {
    const member = new FakeSocket();
    topics.join(member, topic, { as: name });
    return member;
  };
  const events: string[] = [];
  const end = topics.onPresence("room", ({ type, topic, name }) => events.push(`${type} ${topic} ${name}`));
  return { topics, join, events, end };
}

describe("presence", () => {
  test("in one process: names come with the first member and go with the last", () => {
    const topics = mist.topics({ presence: true });
    const events: string[] = [];
    const end = topics.onPresence("room", ({ type, name }) => events.push(`${type} ${name}`));
    const [ada, adaAgain, bob] = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    topics.join(ada, "room", { as: "Ada" });
    topics.join(adaAgain, "room", { as: "Ada" });
    topics.join(bob, "room", { as: "Bob" });
    topics.join(bob, "elsewhere", { as: "Bob" });
    expect(topics.presence("room")).toEqual(["Ada", "Bob"]);
    ada.end();
    expect(topics.presence("room")).toEqual(["Ada", "Bob"]);
    topics.leave(adaAgain, "room");
    expect(topics.presence("room")).toEqual(["Bob"]);
    expect(events).toEqual(["join Ada", "join Bob", "leave Ada"]);
    end();
    bob.end();
    expect(events).toHaveLength(3);
    expect(topics.presence("elsewhere")).toEqual([]);
  });

  test("names of all processes are known to all, those that come later included", async () => {
    const broker = new Broker();
    const one = await process(broker);
    one.join("Ada");
    await settled();
    const two = await process(broker);
    expect(two.topics.presence("room")).toEqual(["Ada"]);
    const bob = two.join("Bob");
    two.join("Ada");
    await settled();
    expect(one.topics.presence("room")).toEqual(["Ada", "Bob"]);
    bob.end();
    await settled();
    expect(one.topics.presence("room")).toEqual(["Ada"]);
    expect(one.events).toEqual(["join room Ada", "join room Bob", "leave room Bob"]);
    expect(two.events).toEqual(["join room Bob", "leave room Bob"]);
  });

  test("a process that stops takes its names with it at once", async () => {
    const broker = new Broker();
    const [one, two] = [await process(broker), await process(broker)];
    two.join("Bob");
    await settled();
    await two.topics.close();
    await settled();
    expect(one.topics.presence("room")).toEqual([]);
    expect(one.events).toEqual(["join room Bob", "leave room Bob"]);
  });

  test("a process that is silent for thirty seconds has no names any more, and one that speaks keeps them", async () => {
    const broker = new Broker();
    const [one, two, three] = [await process(broker), await process(broker), await process(broker)];
    two.join("Bob");
    const cutOff = [...broker.relays][2]!;
    three.join("Cyd");
    await settled();
    // The third is cut off: it neither speaks nor hears.
    broker.leave(cutOff);
    cutOff.publish = async () => {};
    for (let beats = 0; beats < 3; beats++) {
      await clock.advance(10_000);
      await settled();
    }
    expect(one.topics.presence("room")).toEqual(["Bob", "Cyd"]);
    await clock.advance(10_000);
    await settled();
    expect(one.topics.presence("room")).toEqual(["Bob"]);
    expect(one.events.at(-1)).toBe("leave room Cyd");
  });

  test("what was missed while the broker was away is made good", async () => {
    const broker = new Broker();
    const [one, two] = [await process(broker), await process(broker)];
    const bob = two.join("Bob");
    await settled();
    broker.stop();
    bob.end();
    two.join("Cyd");
    await settled();
    expect(one.topics.presence("room")).toEqual(["Bob"]);
    broker.start();
    await settled();
    expect(one.topics.presence("room")).toEqual(["Cyd"]);
  });

  test("a change that was lost is noticed by the next sign of life", async () => {
    const broker = new Broker();
    const [one, two] = [await process(broker), await process(broker)];
    two.join("Bob");
    await settled();
    const carry = broker.carry.bind(broker);
    broker.carry = () => {};
    two.join("Cyd");
    await settled();
    broker.carry = carry;
    expect(one.topics.presence("room")).toEqual(["Bob"]);
    await clock.advance(10_000);
    await settled();
    expect(one.topics.presence("room")).toEqual(["Bob", "Cyd"]);
  });

  test("many names travel in parts", async () => {
    const broker = new Broker();
    const one = await process(broker);
    const names = Array.from({ length: 5000 }, (_, i) => `${i}`.padStart(100, "0"));
    for (const name of names) one.join(name);
    await settled();
    const two = await process(broker);
    expect(two.topics.presence("room").join()).toBe(names.join());
  });

  test.each([
    "",
    "null",
    "{}",
    '{"do":"all"}',
    '{"do":"all","names":[["a"]]}',
    '{"do":"all","names":[["a",5]]}',
    `{"do":"all","names":[["a","${"x".repeat(129)}"]]}`,
    '{"do":"change","changes":[[2,"a","b"]]}',
    '{"do":"alive"}',
    '{"do":"sing"}',
    Buffer.from("{}"),
  ])("%s is nothing that a process says, and is told of", async (content) => {
    const dropped: mist.TopicsDroppedEvent[] = [];
    const hear = (event: unknown): void => void dropped.push(event as mist.TopicsDroppedEvent);
    diagnostics_channel.subscribe("mist:topics:dropped", hear);
    onTestFinished(() => void diagnostics_channel.unsubscribe("mist:topics:dropped", hear));
    const broker = new Broker();
    const one = await process(broker);
    broker.carry("\0presence", encodeEnvelope("AAAAAAAA", 1, content));
    expect(dropped.map(({ reason }) => reason)).toEqual(["malformed"]);
    expect(one.topics.presence("a")).toEqual([]);
  });

  test("needs to be asked for", () => {
    const topics = mist.topics();
    expect(() => topics.presence("room")).toThrow("{ presence: true }");
    expect(() => topics.join(new FakeSocket(), "room", { as: "Ada" })).toThrow("{ presence: true }");
    expect(() => mist.topics({ presence: true }).join(new FakeSocket(), "room", { as: "" })).toThrow(
      'a name must be text of 1 to 128 characters, got ""',
    );
  });
});
