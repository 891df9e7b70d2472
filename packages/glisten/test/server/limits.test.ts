/** Limits, counters and events. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { dial, eventually } from "./peer.ts";

const nothing = (): undefined => undefined;

function echo(): glisten.HandlerBuilder<undefined, never> {
  return glisten.new<undefined>(nothing, (_state, message, connection) => {
    if (message.type === "packet") void connection.send(message.data);
  });
}

/** Collects what a channel tells while `run` runs. */
async function told<Event>(name: string, run: () => Promise<void>): Promise<Event[]> {
  const events: Event[] = [];
  const listener = (event: unknown): void => void events.push(event as Event);
  subscribe(name, listener);
  try {
    await run();
  } finally {
    unsubscribe(name, listener);
  }
  return events;
}

describe("the connection cap", () => {
  it("closes a connection above the limit at once, counts it, and accepts the next when there is room", async () => {
    await using server = await echo().withMaxConnections(2).withStopDeadline(10).start(0);
    const first = await dial(server);
    await dial(server);
    const rejected = await told<glisten.RejectedEvent>("glisten:connection:rejected", async () => {
      const third = await dial(server);
      await third.whenEnded();
      third.socket.destroy();
    });
    expect(rejected).toEqual([{ reason: "max-connections" }]);
    expect(server.info()).toMatchObject({ connections: 2, accepted: 2, rejected: 1 });
    first.socket.destroy();
    await eventually(() => server.info().connections === 1);
    const fourth = await dial(server);
    fourth.socket.write("x");
    expect(await fourth.read(1)).toBe("x");
  });
});

describe("a refusal", () => {
  const busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

  it("is sent over the cap, also to a peer that has sent its request already", async () => {
    await using server = await echo().withMaxConnections(1).withRefusal(busy).withStopDeadline(10).start(0);
    await dial(server);
    await eventually(() => server.info().states.open === 1);
    for (let i = 0; i < 5; i++) {
      const peer = await dial(server);
      peer.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      expect(await peer.read(1_000)).toBe(busy);
      peer.socket.end();
      await peer.whenClosed();
      expect(peer.error).toBe(undefined);
    }
    expect(server.info()).toMatchObject({
      rejected: 5,
      rejectedBy: { "max-connections": 5, "queue-full": 0 },
    });
  });

  it("is sent when the queue is full", async () => {
    await using server = await glisten
      .new(() => new Promise<undefined>(nothing), nothing)
      .withPoolSize(1)
      .withMaxQueue(0)
      .withRefusal(Buffer.from(busy))
      .withStopDeadline(10)
      .start(0);
    await dial(server);
    await eventually(() => server.info().states.initialising === 1);
    expect(await (await dial(server)).read(1_000)).toBe(busy);
    expect(server.info().rejectedBy).toMatchObject({ "queue-full": 1 });
  });

  it("does not outlive the server", async () => {
    const server = await echo().withMaxConnections(1).withRefusal(busy).withStopDeadline(10).start(0);
    await dial(server);
    const refused = await dial(server, { allowHalfOpen: true } as never);
    expect(await refused.read(1_000)).toBe(busy);
    await server.stop();
    await eventually(() => refused.socket.destroyed || !refused.socket.write("is anybody there?"));
  });
});

describe("the pool", () => {
  it("bounds how many connections initialise at once, and the queue how many wait", async () => {
    let running = 0;
    let most = 0;
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using server = await glisten
      .new<undefined>(async () => {
        running += 1;
        most = Math.max(most, running);
        await gate;
        running -= 1;
        return undefined;
      }, nothing)
      .withPoolSize(3)
      .withMaxQueue(4)
      .withStopDeadline(10)
      .start(0);
    const rejected = await told<glisten.RejectedEvent>("glisten:connection:rejected", async () => {
      for (let i = 0; i < 10; i++) await dial(server);
      await eventually(() => server.info().rejected === 3);
    });
    expect(rejected).toEqual(new Array(3).fill({ reason: "queue-full" }));
    expect(server.info().states).toMatchObject({ initialising: 3, waiting: 4 });
    release();
    await eventually(() => server.info().states.open === 7);
    expect(most).toBe(3);
  });
});

describe("ten thousand connections", () => {
  it("leave nothing behind", async () => {
    let closes = 0;
    await using server = await echo()
      .withClose(() => void closes++)
      .withStopDeadline(10)
      .start(0);
    let left = 10_000;
    const next = (): Promise<void> =>
      new Promise((resolve, reject) => {
        if (left-- <= 0) {
          resolve();
          return;
        }
        const socket = connect(server.port, "127.0.0.1", () => socket.write("x"));
        // Mostly resets: they leave no port behind in TIME_WAIT.
        socket.once("data", () => (left % 8 === 0 ? socket.end() : socket.resetAndDestroy()));
        socket.on("error", reject);
        socket.on("close", () => next().then(resolve, reject));
      });
    await Promise.all(Array.from({ length: 50 }, next));
    await eventually(() => server.info().connections === 0);
    expect(closes).toBe(10_000);
    expect(server.info()).toMatchObject({
      connections: 0,
      states: { waiting: 0, handshaking: 0, initialising: 0, open: 0, closing: 0 },
      accepted: 10_000,
      rejected: 0,
      bytesRead: 10_000,
      bytesWritten: 10_000,
    });
  }, 60_000);
});

describe("events", () => {
  it("tell of each connection's opening, failure and end", async () => {
    const opened: glisten.OpenEvent[] = [];
    const failed: glisten.ErrorEvent[] = [];
    const closed = await told<glisten.CloseEvent>("glisten:connection:close", async () => {
      const errors = await told<glisten.ErrorEvent>("glisten:connection:error", async () => {
        const opens = await told<glisten.OpenEvent>("glisten:connection:open", async () => {
          await using server = await glisten
            .new(nothing, () => {
              throw new Error("no");
            })
            .onError(nothing)
            .start(0);
          const peer = await dial(server);
          peer.socket.write("x");
          await peer.whenClosed();
        });
        opened.push(...opens);
      });
      failed.push(...errors);
    });
    expect([opened.length, failed.length, closed.length]).toEqual([1, 1, 1]);
    expect(failed[0]!.error).toBeInstanceOf(glisten.HandlerError);
    expect(closed[0]!.reason.type).toBe("handler");
    expect(closed[0]!.connection).toBe(opened[0]!.connection);
  });
});
