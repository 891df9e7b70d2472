// Topics of several processes on one broker, all in this one.

import { Buffer } from "node:buffer";
import diagnostics_channel from "node:diagnostics_channel";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { encodeEnvelope } from "../../src/server/topics/envelope.ts";
import { Broker, FakeSocket, turn, until } from "./members.ts";

const withIds: mist.TopicsOptions = { frame: ({ data, id }) => `${data} ${id}` };
const words = (member: FakeSocket): string[] => member.heard.map((text) => text.split(" ")[0]!);
const idOf = (heard: string | undefined): string => heard!.split(" ")[1]!;

/** Processes on one broker, each with a member of `room`, all connected and subscribed. */
async function processes(count: number, broker: Broker, options: mist.TopicsOptions = {}) {
  const all = Array.from({ length: count }, () => {
    const topics = mist.topics({ ...options, relay: broker.relay() });
    const member = new FakeSocket();
    const { replay } = topics.join(member, "room");
    return { topics, member, replay };
  });
  onTestFinished(async () => {
    await Promise.all(all.map(({ topics }) => topics.close()));
  });
  await until(() => all.every(({ topics }) => topics.state === "connected"));
  for (let i = 0; i < 5; i++) await turn();
  return all;
}

/** Everything that is published on a channel until the test is over. */
function events<Event>(name: string): Event[] {
  const got: Event[] = [];
  const hear = (event: unknown): void => void got.push(event as Event);
  diagnostics_channel.subscribe(name, hear);
  onTestFinished(() => void diagnostics_channel.unsubscribe(name, hear));
  return got;
}

describe("topics of several processes", () => {
  test("members of all hear everything once, their own at once", async () => {
    const all = await processes(3, new Broker());
    const [one, two] = all as [(typeof all)[0], (typeof all)[0]];
    for (let i = 0; i < 100; i++) one.topics.publish("room", `a${i}`);
    for (let i = 0; i < 100; i++) two.topics.publish("room", `b${i}`);
    expect(words(one.member)).toHaveLength(100);
    await until(() => all.every(({ member }) => member.heard.length >= 200));
    await turn();
    for (const { member } of all) {
      // In order per publisher.
      for (const by of ["a", "b"])
        expect(member.heard.filter((text) => text.startsWith(by))).toEqual(
          Array.from({ length: 100 }, (_, i) => `${by}${i}`),
        );
      expect(member.heard).toHaveLength(200);
    }
  });

  test("text, bytes and events arrive as what they were", async () => {
    const data: unknown[] = [];
    const frame = (message: mist.TopicMessage): string => {
      data.push(message.data);
      return "";
    };
    const [one] = await processes(2, new Broker(), { frame });
    for (const content of ["grüße", Buffer.from([255]), mist.event("e")])
      one!.topics.publish("room", content);
    await until(() => data.length === 6);
    expect(data).toEqual(["grüße", Buffer.from([255]), "e", "grüße", Buffer.from([255]), "e"]);
  });

  test("a process hears only topics that it has members of", async () => {
    const broker = new Broker();
    const [one, two] = await processes(2, broker);
    const relays = [broker.relay()];
    expect(relays[0]!.topics.size).toBe(0);
    two!.topics.leave(two!.member, "room");
    one!.topics.publish("room", "x");
    for (let i = 0; i < 5; i++) await turn();
    expect(two!.member.heard).toEqual([]);
    expect(one!.member.heard).toEqual(["x"]);
  });

  test("`ready` resolves when others are heard", async () => {
    const broker = new Broker();
    const [one] = await processes(1, broker);
    const two = mist.topics({ relay: broker.relay() });
    onTestFinished(() => two.close());
    await until(() => two.state === "connected");
    const member = new FakeSocket();
    const joined = two.join(member, "room");
    one!.topics.publish("room", "maybe");
    await joined.ready;
    member.heard.length = 0;
    one!.topics.publish("room", "surely");
    await until(() => member.heard.includes("surely"));
  });

  test("what a broker brings twice is heard once", async () => {
    const broker = new Broker();
    const [one] = await processes(1, broker);
    const envelopes = [1, 2].map((i) => encodeEnvelope("AAAAAAAA", i, `${i}`));
    for (const envelope of [envelopes[0]!, envelopes[0]!, envelopes[1]!, envelopes[0]!])
      broker.carry("room", envelope);
    expect(one!.member.heard).toEqual(["1", "2"]);
  });

  test("bytes of anybody's are dropped, and told of", async () => {
    const broker = new Broker();
    const dropped = events<mist.TopicsDroppedEvent>("mist:topics:dropped");
    const [one] = await processes(1, broker, { maxMessageBytes: 10 });
    broker.carry("room", Buffer.from("who is there?"));
    broker.carry("room", encodeEnvelope("AAAAAAAA", 2 ** 53 - 1, "from the future"));
    broker.carry("room", encodeEnvelope("AAAAAAAA", 1, "much too long"));
    broker.carry("room", encodeEnvelope("AAAAAAAA", 2, "well"));
    expect(one!.member.heard).toEqual(["well"]);
    expect(dropped.map(({ topic, reason }) => [topic, reason])).toEqual([
      ["room", "malformed"],
      ["room", "malformed"],
      ["room", "too-large"],
    ]);
  });

  test("a frame option that fails costs its publisher a throw, and others a message", async () => {
    const errors = events<mist.TopicsErrorEvent>("mist:topics:error");
    const broker = new Broker();
    const frame = ({ data }: mist.TopicMessage): string => {
      if (data === "bad") throw new Error("no frame");
      return String(data);
    };
    const [one, two] = await processes(2, broker, { frame });
    expect(() => one!.topics.publish("room", "bad")).toThrow("no frame");
    broker.carry("room", encodeEnvelope("AAAAAAAA", 1, "bad"));
    one!.topics.publish("room", "good");
    await until(() => two!.member.heard.length === 1);
    expect([one!.member.heard, two!.member.heard]).toEqual([["good"], ["good"]]);
    expect(errors.map(({ topic, error }) => [topic, (error as Error).message])).toContainEqual([
      "room",
      "no frame",
    ]);
  });
});

describe("while the broker is away", () => {
  test("local members hear, others hear later, in order, and the state says so", async () => {
    const broker = new Broker();
    const states = events<mist.TopicsStateEvent>("mist:topics:state");
    const [one, two] = await processes(2, broker);
    expect(one!.topics.state).toBe("connected");
    one!.topics.publish("room", "0");
    broker.stop();
    expect(one!.topics.state).toBe("disconnected");
    for (let i = 1; i < 5; i++) one!.topics.publish("room", `${i}`);
    expect(one!.member.heard).toEqual(["0", "1", "2", "3", "4"]);
    await turn();
    expect(two!.member.heard).toEqual([]);
    broker.start();
    await until(() => two!.member.heard.length === 5);
    expect(two!.member.heard).toEqual(one!.member.heard);
    expect(states.map(({ state }) => state)).toEqual(
      ["connected", "disconnected", "connected"].flatMap((state) => [state, state]),
    );
    expect((states[2]!.cause as Error).message).toBe("the broker is gone");
  });

  test("more than may wait is not sent, and told of", async () => {
    const broker = new Broker();
    const dropped = events<mist.TopicsDroppedEvent>("mist:topics:dropped");
    const [one, two] = await processes(2, broker, { unsent: { bytes: 200 } });
    broker.stop();
    for (let i = 0; i < 5; i++) one!.topics.publish("room", `${i}`.repeat(60));
    broker.start();
    await until(() => two!.member.heard.length === 2);
    expect(dropped.map(({ reason }) => reason)).toEqual(["full", "full", "full"]);
    expect(one!.member.heard).toHaveLength(5);
  });

  test("a message that cannot have been heard is a gap for those who come back", async () => {
    const broker = new Broker();
    const [one, two] = await processes(2, broker, { ...withIds, replay: 10 });
    one!.topics.publish("room", "before");
    await until(() => two!.member.heard.length === 1);
    broker.stop();
    broker.start();
    const back = new FakeSocket();
    const after = idOf(two!.member.heard[0]);
    expect(await two!.topics.join(back, "room", { after }).replay).toEqual({ messages: 0, complete: false });
  });

  test("nobody waits for it", async () => {
    const broker = new Broker();
    broker.up = false;
    const topics = mist.topics({ relay: broker.relay(), replay: 10 });
    onTestFinished(() => topics.close());
    const member = new FakeSocket();
    const joined = topics.join(member, "room", { after: "AAAAAAAA.1" });
    expect(topics.state).toBe("connecting");
    expect((await joined.replay).complete).toBe(false);
    topics.publish("room", "x");
    expect(member.heard).toEqual(["x"]);
  });
});

describe("a member that comes back to another process", () => {
  test("is sent what it has missed, in whatever order the two have heard it", async () => {
    const [one, two] = await processes(2, new Broker(), { ...withIds, replay: 100 });
    one!.topics.publish("room", "0");
    await until(() => two!.member.heard.length === 1);
    // Each hears its own first.
    for (let i = 1; i <= 3; i++) {
      one!.topics.publish("room", `a${i}`);
      two!.topics.publish("room", `b${i}`);
    }
    await until(() => [one, two].every((each) => each!.member.heard.length === 7));
    expect(words(one!.member)).not.toEqual(words(two!.member));
    // From wherever it left the one, it gets from the other exactly the rest.
    for (const [at, text] of one!.member.heard.entries()) {
      const back = new FakeSocket();
      const replay = await two!.topics.join(back, "room", { after: idOf(text) }).replay;
      expect(replay).toEqual({ messages: 6 - at, complete: true });
      expect(new Set([...words(one!.member).slice(0, at + 1), ...words(back)]).size).toBe(7);
      two!.topics.leave(back, "room");
    }
  });

  test("is not sent again what it has heard there before it came", async () => {
    const [one, two] = await processes(2, new Broker(), { ...withIds, replay: 100 });
    one!.topics.publish("room", "0");
    await until(() => two!.member.heard.length === 1);
    one!.topics.publish("room", "1");
    const back = new FakeSocket();
    // It arrives before the message that it has had already.
    const after = idOf(one!.member.heard[1]);
    expect(await two!.topics.join(back, "room", { after }).replay).toEqual({ messages: 0, complete: true });
    two!.topics.publish("room", "2");
    await until(() => two!.member.heard.length === 3);
    expect(words(back)).toEqual(["2"]);
    // And its next id takes nothing back: from there the one has nothing but what came behind.
    await until(() => one!.member.heard.length === 3);
    const again = new FakeSocket();
    expect((await one!.topics.join(again, "room", { after: idOf(back.heard[0]) }).replay).messages).toBe(0);
  });

  test("finds a gap where nobody has listened, unless the engine keeps messages", async () => {
    for (const keeps of [false, true]) {
      const broker = new Broker({ keeps });
      const [one] = await processes(1, broker, { ...withIds, replay: 100 });
      for (let i = 0; i < 5; i++) one!.topics.publish("room", `${i}`);
      for (let i = 0; i < 5; i++) await turn();
      const two = mist.topics({ ...withIds, relay: broker.relay(), replay: 100 });
      onTestFinished(() => two.close());
      await until(() => two.state === "connected");
      const back = new FakeSocket();
      const joined = two.join(back, "room", { after: idOf(one!.member.heard[1]) });
      // Published while the log is being read: comes behind what is read.
      one!.topics.publish("room", "5");
      const replay = await joined.replay;
      await until(() => words(back).includes("5"));
      expect(replay.complete).toBe(keeps);
      expect(words(back)).toEqual(keeps ? ["2", "3", "4", "5"] : ["5"]);
    }
  });
});

describe("close", () => {
  test("sends what was published, and then hears nothing", async () => {
    const broker = new Broker();
    const [one, two] = await processes(2, broker);
    one!.topics.publish("room", "last");
    await one!.topics.close();
    await until(() => two!.member.heard.length === 1);
    two!.topics.publish("room", "x");
    await turn();
    await turn();
    expect(one!.member.heard).toEqual(["last"]);
    expect(one!.topics.state).toBe("closed");
  });

  test("does not wait for a broker that is away", async () => {
    const broker = new Broker();
    const [one] = await processes(1, broker);
    broker.stop();
    one!.topics.publish("room", "never");
    await one!.topics.close();
    expect(one!.topics.state).toBe("closed");
  });

  test("a relay that fails at everything harms nobody, and is told of", async () => {
    const errors = events<mist.TopicsErrorEvent>("mist:topics:error");
    const states = events<mist.TopicsStateEvent>("mist:topics:state");
    const fails = (): never => {
      throw new Error("broken");
    };
    const relay = { open: fails, subscribe: fails, unsubscribe: fails, publish: fails, close: fails };
    const topics = mist.topics({ relay });
    const member = new FakeSocket();
    await topics.join(member, "room").replay;
    topics.publish("room", "x");
    topics.leave(member, "room");
    await topics.close();
    expect(member.heard).toEqual(["x"]);
    expect(states.map(({ state }) => state)).toEqual(["disconnected", "closed"]);
    expect(errors.map(({ topic }) => topic)).toEqual(["room", "room", undefined]);
  });
});
