// What is particular to NATS and to Redis: whose connection it is, options, permissions, what streams keep.

import diagnostics_channel from "node:diagnostics_channel";
import { connect } from "@nats-io/transport-node";
import { createClient, createCluster } from "redis";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import * as mist from "../../src/index.ts";
import { nats } from "../../src/relay/nats/nats.ts";
import { redis } from "../../src/relay/redis/redis.ts";
import type { Relay } from "../../src/relay/relay.ts";
import { RecordingSink } from "../../src/relay/testing/recording-sink.ts";
import { FakeSocket, until } from "../topics/members.ts";
import { Engine, has } from "./engine.ts";

const hello = Buffer.from("hello");

async function opened(relay: Relay): Promise<RecordingSink> {
  const sink = new RecordingSink();
  onTestFinished(() => relay.close());
  void relay.open(sink);
  await sink.connection();
  return sink;
}

describe("options that make no sense", () => {
  const client = createClient();
  test.each<[string, () => unknown, string]>([
    [
      "a prefix with a wildcard",
      () => nats({}, { prefix: "a.*" }),
      "prefix must be a subject without wildcards",
    ],
    ["an empty token", () => nats({}, { prefix: "a..b" }), "prefix must be a subject without wildcards"],
    ["an unknown name", () => nats({}, { prefixes: "a" } as never), 'nats has no option "prefixes"'],
    ["an empty prefix", () => redis(client, { prefix: "" }), "prefix must be a string that is not empty"],
    ["no client", () => redis({ url: "redis://localhost" } as never), "redis takes a client of node-redis"],
    [
      "a cluster",
      () => redis(createCluster({ rootNodes: [{ url: "redis://localhost" }] }) as never),
      "redis takes a client of node-redis",
    ],
    ["a length of 0", () => redis(client, { streams: { maxLength: 0 } }), "maxLength must be an integer"],
    [
      "half a millisecond",
      () => redis(client, { streams: { maxIdleMs: 0.5 } }),
      "maxIdleMs must be an integer",
    ],
    [
      "an unknown name",
      () => redis(client, { streams: { length: 1 } as never }),
      'streams has no option "length"',
    ],
  ])("%s", (_what, make, message) => {
    expect(make).toThrow(UsageError);
    expect(make).toThrow(message);
  });
});

/** Topics with one member, and what is told of messages that they drop. */
async function hearing(relay: Relay) {
  const dropped: unknown[] = [];
  const note = (event: unknown): void => void dropped.push(event);
  diagnostics_channel.subscribe("mist:topics:dropped", note);
  const topics = mist.topics({ relay });
  const member = new FakeSocket();
  onTestFinished(async () => {
    diagnostics_channel.unsubscribe("mist:topics:dropped", note);
    await topics.close();
  });
  await until(() => topics.state === "connected");
  await topics.join(member, "room").ready;
  return { dropped, member };
}

/** Bytes that topics did not write: told of, and heard by nobody; what another process publishes is heard. */
async function survives(
  make: () => Relay,
  publishForeign: (bytes: Buffer) => Promise<unknown>,
): Promise<void> {
  const { dropped, member } = await hearing(make());
  await publishForeign(Buffer.from("hello"));
  await publishForeign(Buffer.alloc(0));
  const other = mist.topics({ relay: make() });
  onTestFinished(() => other.close());
  await until(() => other.state === "connected");
  other.publish("room", "ours");
  await until(() => member.heard.length > 0);
  expect(member.heard).toEqual(["ours"]);
  expect(dropped).toMatchObject(Array(2).fill({ topic: "room", reason: "malformed" }));
}

describe.runIf(has("nats-server"))("NATS", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.nats();
  });
  afterAll(() => engine.remove());
  const options = () => ({ servers: `127.0.0.1:${engine.port}`, reconnectTimeWait: 50 });

  test("a connection that is given stays open, and is told apart from one that is closed", async () => {
    const connection = await connect(options());
    const relay = nats(connection);
    const sink = await opened(relay);
    await relay.subscribe("room");
    await relay.publish("room", hello);
    await sink.received("room", (texts) => texts.length === 1);
    await relay.close();
    expect(connection.isClosed()).toBe(false);

    const another = nats(connection);
    const heard = await opened(another);
    const lost = heard.loss();
    await connection.close();
    await lost;
    expect(() => another.publish("room", hello)).toThrow();
  });

  test("tries until there is a server", async () => {
    const later = await Engine.nats();
    onTestFinished(() => later.remove());
    await later.kill();
    const relay = nats({ servers: `127.0.0.1:${later.port}`, reconnectTimeWait: 50 });
    const sink = new RecordingSink();
    onTestFinished(() => relay.close());
    void relay.open(sink);
    await relay.subscribe("room");
    await later.start();
    await sink.connection();
    await relay.publish("room", hello);
    await sink.received("room", (texts) => texts.length === 1);
  });

  test("topics drop what a stranger publishes on their subject, and tell of it", async () => {
    const stranger = await connect(options());
    onTestFinished(() => stranger.close());
    await survives(
      () => nats(options()),
      async (bytes) => stranger.publish("mist.room", bytes),
    );
  });

  test("a prefix tells applications apart", async () => {
    const one = nats(options(), { prefix: "one.app" });
    const sink = await opened(one);
    await one.subscribe("room");
    const other = nats(options());
    await opened(other);
    await other.publish("room", Buffer.from("other"));
    await one.publish("room", hello);
    await sink.received("room", (texts) => texts.length === 1);
    expect(sink.texts("room")).toEqual(["hello"]);
  });

  test("a subscription that the server refuses rejects, and the others go on", async () => {
    const secured = await Engine.nats({
      configuration:
        'authorization { users = [ { user: u, password: p, permissions: { subscribe: ["mist.open"], publish: ">" } } ] }',
    });
    onTestFinished(() => secured.remove());
    const relay = nats({ servers: `127.0.0.1:${secured.port}`, user: "u", pass: "p" });
    const sink = await opened(relay);
    await expect(async () => relay.subscribe("secret")).rejects.toThrow(/permissions/i);
    await relay.subscribe("open");
    await relay.publish("open", hello);
    await sink.received("open", (texts) => texts.length === 1);
    expect(sink.losses).toBe(0);
  });
});

describe.runIf(has("redis-server"))("Redis", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.redis();
  });
  afterAll(() => engine.remove());
  const client = (more: { username?: string; password?: string } = {}) =>
    createClient({ socket: { host: "127.0.0.1", port: engine.port, reconnectStrategy: 50 }, ...more });

  /** A connection of the test's own. */
  async function own() {
    const connection = await client().connect();
    onTestFinished(() => connection.destroy());
    return connection;
  }

  test("the client that is given is a model: it is neither connected nor closed", async () => {
    const model = client();
    const relay = redis(model);
    await opened(relay);
    expect(model.isOpen).toBe(false);
    await model.connect();
    await relay.close();
    expect(await model.ping()).toBe("PONG");
    model.destroy();
  });

  test("tries until there is a server", async () => {
    const later = await Engine.redis();
    onTestFinished(() => later.remove());
    await later.kill();
    const relay = redis(createClient({ socket: { port: later.port, reconnectStrategy: 50 } }));
    const sink = new RecordingSink();
    onTestFinished(() => relay.close());
    void relay.open(sink);
    await relay.subscribe("room");
    await later.start();
    await sink.connection();
    await relay.publish("room", hello);
    await sink.received("room", (texts) => texts.length === 1);
  });

  test.each([false, true])("a subscription that the server refuses rejects, streams: %s", async (streams) => {
    const admin = await own();
    await admin.sendCommand([
      "ACL",
      "SETUSER",
      "u",
      "on",
      ">p",
      "+@all",
      "~mist:*",
      "resetchannels",
      "&mist:open",
    ]);
    const relay = redis(client({ username: "u", password: "p" }), { streams });
    const sink = await opened(relay);
    await expect(async () => relay.subscribe("secret")).rejects.toThrow(/NOPERM/);
    await expect(async () => relay.publish("secret", hello)).rejects.toThrow(/NOPERM|can't publish/);
    await relay.subscribe("open");
    await relay.publish("open", hello);
    await sink.received("open", (texts) => texts.length === 1);
    expect(sink.losses).toBe(0);
  });

  test.each([false, true])(
    "topics drop what a stranger publishes on their channel, streams: %s",
    async (streams) => {
      const stranger = await own();
      await survives(
        () => redis(client(), { streams }),
        (bytes) => stranger.publish("mist:room", bytes),
      );
    },
  );

  test("streams are trimmed, and deleted when they are idle; messages of the moment are not kept", async () => {
    const relay = redis(client(), { prefix: "trim", streams: { maxLength: 10, maxIdleMs: 50_000 } });
    const sink = await opened(relay);
    await relay.subscribe("\0moment");
    await Promise.all(Array.from({ length: 2_000 }, () => relay.publish("room", hello)));
    await relay.publish("\0moment", hello);
    await sink.received("\0moment", (texts) => texts.length === 1);
    const admin = await own();
    expect(await admin.xLen("trim:room")).toBeLessThan(500);
    expect(await admin.pTTL("trim:room")).toBeGreaterThan(1_000);
    expect(await admin.keys("trim:*")).toEqual(["trim:room"]);
  });

  test("a server that lost its streams, and counts from an earlier time, is heard", async () => {
    const admin = await own();
    await admin.xAdd("mist:lost", "99999999999999-0", { m: "from the future" });
    const relay = redis(client(), { streams: true });
    const sink = await opened(relay);
    await relay.subscribe("lost");
    await admin.del("mist:lost");
    const lost = sink.loss();
    await admin.sendCommand(["CLIENT", "KILL", "TYPE", "PUBSUB"]);
    await lost;
    await sink.connection();
    await relay.publish("lost", hello);
    await sink.received("lost", (texts) => texts.length === 1);
    expect(sink.texts("lost")).toEqual(["hello"]);
  });

  test("entries that others have added to a stream are no messages, and no obstacle", async () => {
    const admin = await own();
    await admin.xAdd("mist:foreign", "*", { other: "field" });
    const relay = redis(client(), { streams: true });
    await opened(relay);
    await relay.publish("foreign", hello);
    expect((await relay.history!("foreign", 10)).map((bytes) => Buffer.from(bytes).toString())).toEqual([
      "",
      "hello",
    ]);
  });

  test("a server that becomes read-only counts as lost, and serves again", async () => {
    const admin = await own();
    const relay = redis(client(), { streams: true });
    const sink = await opened(relay);
    await admin.sendCommand(["REPLICAOF", "127.0.0.1", "1"]);
    const lost = sink.loss();
    await expect(async () => relay.publish("room", hello)).rejects.toThrow(/READONLY/);
    await lost;
    await admin.sendCommand(["REPLICAOF", "NO", "ONE"]);
    await sink.connection();
    await relay.publish("room", hello);
  });
});
