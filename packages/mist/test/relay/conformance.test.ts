// The cases that every relay must pass, on real brokers.

import { connect } from "@nats-io/transport-node";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, test } from "vitest";
import { nats } from "../../src/relay/nats/nats.ts";
import { redis } from "../../src/relay/redis/redis.ts";
import { relayCases } from "../../src/relay/testing/testing.ts";
import { Engine, has } from "./engine.ts";

describe.runIf(has("nats-server"))("NATS", () => {
  let engine: Engine;
  const options = () => ({ servers: `nats://127.0.0.1:${engine.port}`, reconnectTimeWait: 100 });
  beforeAll(async () => {
    engine = await Engine.nats();
  });
  afterAll(() => engine.remove());

  const cases = relayCases({
    create: () => nats(options()),
    publishForeign: async (topic, bytes) => {
      const connection = await connect(options());
      connection.publish(`mist.${encodeURIComponent(topic)}`, bytes);
      await connection.close();
    },
    interrupt: () => interruptionOf(engine),
    carriesBytes: 1024 * 1024,
    refusesBytes: 1024 * 1024 + 1,
  });
  for (const { name, run } of cases) test(name, run);
});

describe.runIf(has("redis-server"))("Redis", () => {
  let engine: Engine;
  const client = () =>
    createClient({ socket: { host: "127.0.0.1", port: engine.port, reconnectStrategy: 100 } });
  beforeAll(async () => {
    engine = await Engine.redis();
  });
  afterAll(() => engine.remove());

  describe.each([
    ["pub/sub", false],
    ["streams", true],
  ])("%s", (_mode, streams) => {
    const cases = relayCases({
      create: () => redis(client(), { streams }),
      publishForeign: async (topic, bytes) => {
        const foreign = await client().connect();
        await foreign.publish(`mist:${topic}`, Buffer.from(bytes));
        await foreign.close();
      },
      interrupt: () => interruptionOf(engine),
      keeps: streams,
      carriesBytes: 8 * 1024 * 1024,
    });
    for (const { name, run } of cases) test(name, run);
  });
});

async function interruptionOf(engine: Engine): Promise<() => Promise<void>> {
  await engine.kill();
  return async () => void (await engine.start());
}
