import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { close, text } from "../websocket/client-frames.ts";
import { deferred, echo, open, type RawClient } from "./websocket-peer.ts";

async function room(options: mist.BroadcastOptions = {}, topic?: string) {
  const broadcast = mist.broadcast(options);
  const left = deferred();
  const served = await serve(
    echo({
      onInit: (websocket) => void broadcast.join(websocket, topic),
      handler: (_state, message) => {
        if (message.type === "text") broadcast.publish(message.data, topic);
      },
      onClose: () => left.resolve(),
    }),
  );
  return { broadcast, left: left.promise, join: () => open(served) };
}

const texts = async (client: RawClient, count: number): Promise<string[]> => {
  const got: string[] = [];
  while (got.length < count) got.push(await client.text());
  return got;
};

describe("broadcast", () => {
  test("everybody in the room hears everything, in order", async () => {
    const { broadcast, join } = await room();
    const clients = await Promise.all([join(), join(), join()]);
    await clients[0]!.send(text("one"), text("two"));
    for (const client of clients) expect(await texts(client, 2)).toEqual(["one", "two"]);
    expect(broadcast.size()).toBe(3);
    expect(broadcast.publish(Buffer.from([7]))).toBe(3);
    for (const client of clients)
      expect(await client.frame()).toMatchObject({ opcode: 2, payload: Buffer.from([7]) });
  });

  test("who is gone has left, and is not sent to", async () => {
    const { broadcast, join, left } = await room();
    const [staying, leaving] = [await join(), await join()];
    await leaving.send(close());
    await left;
    expect(broadcast.size()).toBe(1);
    expect(broadcast.publish("x")).toBe(1);
    expect(await staying.text()).toBe("x");
  });

  test("a hundred hear all in order, with what is meant for one of them in its place", async () => {
    const broadcast = mist.broadcast();
    const sockets: mist.WebSocket[] = [];
    const served = await serve(
      echo({
        onInit: (websocket) => {
          sockets.push(websocket);
          broadcast.join(websocket);
        },
      }),
    );
    const clients = [];
    for (let i = 0; i < 100; i++) clients.push(await open(served));
    for (let i = 0; i < 10; i++) {
      broadcast.publish(`${i}`);
      // Some share a tick, some a turn of the event loop, and some neither.
      if (i === 2) sockets[0]!.sendText("only you");
      if (i === 3) await Promise.resolve();
      if (i > 4) await new Promise((resolve) => setImmediate(resolve));
    }
    for (const socket of sockets) socket.close(1000, "");
    const all = Array.from({ length: 10 }, (_, i) => `${i}`);
    expect(await texts(clients[0]!, 11)).toEqual(all.toSpliced(3, 0, "only you"));
    for (const client of clients.slice(1)) expect(await texts(client, 10)).toEqual(all);
    for (const client of clients) expect(await client.frame()).toMatchObject({ opcode: 8 });
  });

  test("topics are apart, and can be left", async () => {
    const broadcast = mist.broadcast();
    const leaves: (() => void)[] = [];
    const served = await serve((request) =>
      echo({ onInit: (websocket) => void leaves.push(broadcast.join(websocket, request.path)) })(request),
    );
    const client = await open(served);
    expect(broadcast.publish("elsewhere", "/other")).toBe(0);
    expect(broadcast.publish("here", "/")).toBe(1);
    expect(await client.text()).toBe("here");
    leaves[0]!();
    expect(broadcast.publish("gone", "/")).toBe(0);
    expect(broadcast.size("/")).toBe(0);
  });

  test.each<[mist.SlowClientPolicy, number[]]>([
    ["drop-oldest", [7, 8, 9]],
    ["drop-newest", [1, 2, 3]],
  ])("a client too slow: %s", async (slowClient, kept) => {
    const { broadcast, join } = await room({ maxQueue: 3, slowClient });
    const [slow, quick] = [await join(), await join()];
    // More than the sockets hold, so that the slow client is behind; then small messages that must wait.
    const filler = Buffer.alloc(8_000_000);
    broadcast.publish(filler);
    expect((await quick.frame()).payload.length).toBe(filler.length);
    for (let i = 1; i <= 9; i++) {
      broadcast.publish(`${i}`);
      expect(await quick.text()).toBe(`${i}`);
    }
    expect(broadcast.dropped).toBe(6);
    expect((await slow.frame()).payload.length).toBe(filler.length);
    expect(await texts(slow, 3)).toEqual(kept.map(String));
  });

  test("a client too slow is closed with 1013, where that is the policy", async () => {
    const { broadcast, join } = await room({ maxQueue: 2, slowClient: "close" });
    const slow = await join();
    broadcast.publish(Buffer.alloc(8_000_000));
    for (let i = 0; i < 3; i++) broadcast.publish("x");
    expect(broadcast.size()).toBe(0);
    expect((await slow.frame()).payload.length).toBe(8_000_000);
    expect(await slow.close()).toBe(1013);
  });

  test("options that make no sense are refused", () => {
    expect(() => mist.broadcast({ maxQueue: 0 })).toThrow(expect.objectContaining({ name: "UsageError" }));
    expect(() => mist.broadcast({ slowClient: "panic" as never })).toThrow(
      expect.objectContaining({ name: "UsageError" }),
    );
  });
});
