// Who hears what, and how much is remembered: on members without sockets.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { virtualClock } from "@x/glisten/testing";
import { describe, expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { Broker, FakeSocket } from "./members.ts";

describe("while a message is handed out", () => {
  test("another that is published comes behind it, for everybody", () => {
    const topics = mist.topics();
    const members = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    for (const member of members) topics.join(member, "room");
    members[1]!.onHeard = (text) => {
      if (text === "one") topics.publish("room", "two");
      if (text === "two") topics.publish("room", "three");
    };
    topics.publish("room", "one");
    for (const member of members) expect(member.heard).toEqual(["one", "two", "three"]);
  });

  test("one who joins hears the next, one who leaves hears no more", () => {
    const topics = mist.topics();
    const [first, second, leaving, joining] = Array.from({ length: 4 }, () => new FakeSocket());
    for (const member of [first!, second!, leaving!]) topics.join(member, "room");
    first!.onHeard = () => {
      topics.leave(leaving!, "room");
      topics.join(joining!, "room");
    };
    topics.publish("room", "one");
    topics.publish("room", "two");
    expect(second!.heard).toEqual(["one", "two"]);
    expect(leaving!.heard).toEqual([]);
    expect(joining!.heard).toEqual(["two"]);
  });

  test("one whose connection ends publishes its farewell behind it", () => {
    const topics = mist.topics();
    const [first, ending, last] = Array.from({ length: 3 }, () => new FakeSocket());
    for (const member of [first!, ending!, last!]) topics.join(member, "room");
    first!.onHeard = (text) => {
      if (text !== "one") return;
      ending!.end();
      topics.publish("room", "somebody has left");
    };
    topics.publish("room", "one");
    expect(first!.heard).toEqual(["one", "somebody has left"]);
    expect(last!.heard).toEqual(first!.heard);
    expect(ending!.heard).toEqual([]);
  });

  test("one who joins with an id is sent each message once", () => {
    const topics = mist.topics({ replay: 10, frame: ({ data, id }) => `${data} ${id}` });
    const [first, joining] = [new FakeSocket(), new FakeSocket()];
    topics.join(first, "room");
    topics.publish("room", "zero");
    const after = first.heard[0]!.split(" ")[1]!;
    first.onHeard = (text) => {
      if (!text.startsWith("one")) return;
      topics.publish("room", "two");
      topics.join(joining, "room", { after });
    };
    topics.publish("room", "one");
    expect(joining.heard.map((text) => text.split(" ")[0])).toEqual(["one", "two"]);
  });
});

describe("a slow member", () => {
  test("has one queue for all of its topics, in order", async () => {
    const topics = mist.topics({ maxQueue: 4 });
    const slow = new FakeSocket();
    for (const topic of ["a", "b"]) topics.join(slow, topic);
    slow.blocked = true;
    for (let i = 0; i < 7; i++) topics.publish(i % 2 === 0 ? "a" : "b", `${i}`);
    expect(slow.heard).toEqual(["0"]);
    await slow.catchUp();
    expect(slow.heard).toEqual(["0", "3", "4", "5", "6"]);
    expect(topics.dropped).toBe(2);
  });

  test("is not sent what waited for it from a topic it has left", async () => {
    const topics = mist.topics();
    const slow = new FakeSocket();
    for (const topic of ["a", "b"]) topics.join(slow, topic);
    slow.blocked = true;
    for (const topic of ["a", "b", "a"]) topics.publish(topic, topic);
    topics.leave(slow, "a");
    await slow.catchUp();
    expect(slow.heard).toEqual(["a", "b"]);
  });

  test("is sent all that it has missed, however short its queue", async () => {
    const topics = mist.topics({ replay: 50, maxQueue: 2, frame: ({ data, id }) => `${data} ${id}` });
    const first = new FakeSocket();
    topics.join(first, "room");
    for (let i = 0; i < 20; i++) topics.publish("room", `${i}`);
    const slow = new FakeSocket();
    slow.blocked = true;
    topics.join(slow, "room", { after: first.heard[0]!.split(" ")[1]! });
    for (let i = 20; i < 24; i++) topics.publish("room", `${i}`);
    await slow.catchUp();
    // Two of the newest may wait beside what comes from the log; of the four, the oldest that waited went.
    const heard = slow.heard.map((text) => Number(text.split(" ")[0]));
    expect(heard.slice(0, 1)).toEqual([1]);
    expect(heard.slice(-2)).toEqual([22, 23]);
    expect(heard.length + topics.dropped).toBe(23);
  });

  test("is closed, where that is the policy, and has left all topics", () => {
    const topics = mist.topics({ maxQueue: 1, slowClient: "close" });
    const slow = new FakeSocket();
    for (const topic of ["a", "b"]) topics.join(slow, topic);
    slow.blocked = true;
    for (let i = 0; i < 3; i++) topics.publish("a", `${i}`);
    expect(slow.closedWith).toBe(1013);
    expect([topics.size("a"), topics.size("b")]).toEqual([0, 0]);
    expect(slow.watched).toBe(false);
  });
});

describe("memory", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };

  test.each<[string, mist.TopicsOptions]>([
    ["without a log", {}],
    ["with a log", { replay: 10 }],
    ["with a relay", { relay: new Broker().relay(), replay: 10, presence: true }],
  ])("is flat when 10 000 topics were joined and left, %s", { timeout: 60_000 }, async (_what, options) => {
    using clock = virtualClock();
    const topics = mist.topics(options);
    let round = 0;
    const joinAndLeave = async (): Promise<void> => {
      round++;
      const member = new FakeSocket();
      for (let i = 0; i < 10_000; i++) {
        const name = `${round}-${i}`;
        const { leave } = topics.join(member, name, options.presence === true ? { as: name } : {});
        topics.publish(name, "x".repeat(100));
        member.heard.length = 0;
        leave();
      }
      // The logs go when nobody has come back.
      await clock.advance(120_000);
    };
    await joinAndLeave();
    const before = heap();
    for (let i = 0; i < 2; i++) await joinAndLeave();
    expect(heap() - before).toBeLessThan(1_000_000);
    await topics.close();
  });
});

describe("limits", () => {
  test.each([
    ["empty", ""],
    ["too long", "x".repeat(256)],
    ["not well-formed", "a\ud800b"],
    ["reserved", "\0presence"],
    ["no text", 5 as unknown as string],
  ])("a topic's name that is %s is refused", (_what, name) => {
    const topics = mist.topics();
    expect(() => topics.join(new FakeSocket(), name)).toThrow("a topic must be well-formed text of 1 to 255");
    expect(() => topics.publish(name, "x")).toThrow("a topic must be well-formed text of 1 to 255");
  });

  test("a name of 255 characters is taken, astral ones included", () => {
    const topics = mist.topics();
    const member = new FakeSocket();
    for (const name of ["x".repeat(255), "🌫️", "\u0001"]) {
      topics.join(member, name);
      expect(topics.publish(name, "x")).toBe(1);
    }
  });

  test("topics of a process, and of a member", () => {
    const topics = mist.topics({ maxTopics: 3, maxTopicsPerMember: 2 });
    const [one, other] = [new FakeSocket(), new FakeSocket()];
    topics.join(one, "a");
    topics.join(one, "b");
    expect(() => topics.join(one, "c")).toThrow("a member may join at most 2 topics (maxTopicsPerMember)");
    topics.join(other, "c");
    expect(() => topics.join(other, "d")).toThrow("there are 3 topics already (maxTopics)");
    expect(topics.size("d")).toBe(0);
    topics.leave(one, "a");
    topics.join(other, "d");
  });

  test("topics that only wait for members to come back give way", () => {
    const topics = mist.topics({ maxTopics: 2, replay: 10 });
    const member = new FakeSocket();
    for (const topic of ["a", "b"]) topics.join(member, topic).leave();
    topics.join(member, "c");
    topics.join(member, "d");
    expect(() => topics.join(member, "e")).toThrow("there are 2 topics already");
  });

  test("the bytes of all logs: the topic that was silent for longest loses its messages", () => {
    const topics = mist.topics({
      replay: { messages: 10, totalBytes: 10 * (100 + 128) },
      frame: ({ data, id }) => `${String(data).slice(0, 1)} ${id}`,
    });
    const member = new FakeSocket();
    for (const topic of ["a", "b"]) {
      topics.join(member, topic);
      for (let i = 0; i < 5; i++) topics.publish(topic, `${i}${"x".repeat(99)}`);
    }
    const ids = member.heard.map((text) => text.split(" ")[1]!);
    topics.publish("b", `5${"x".repeat(199)}`);
    const replayed = (topic: string, after: string): string => {
      const back = new FakeSocket();
      topics.join(back, topic, { after });
      return back.heard.map((text) => text[0]).join("");
    };
    expect(replayed("a", ids[0]!)).toBe("234");
    expect(replayed("b", ids[5]!)).toBe("12345");
  });
});

test("200 topics of 1000 members each, and a storm of messages: all is heard, in order", () => {
  const topics = mist.topics({ maxTopicsPerMember: 200 });
  const members = Array.from({ length: 1000 }, () => new FakeSocket());
  const sums = new Map<FakeSocket, number>();
  for (const member of members) {
    sums.set(member, 0);
    // Only the numbers are kept.
    member.onHeard = (text) => {
      member.heard.length = 0;
      const before = sums.get(member)!;
      if (Number(text) !== before) throw new Error(`heard ${text} in place of ${before}`);
      sums.set(member, before + 1);
    };
    for (let i = 0; i < 200; i++) topics.join(member, `topic-${i}`);
  }
  for (let i = 0; i < 400; i++) expect(topics.publish(`topic-${(i * 7) % 200}`, `${i}`)).toBe(1000);
  for (const member of members) expect(sums.get(member)).toBe(400);
  for (const member of members) member.end();
  for (let i = 0; i < 200; i++) expect(topics.size(`topic-${i}`)).toBe(0);
});
