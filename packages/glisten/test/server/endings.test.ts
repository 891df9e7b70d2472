/** Every way a connection can end: `withClose` is called once, with the last state, and says how. */

import { describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { dial, eventually, type Peer, reports } from "./peer.ts";

interface Ending {
  readonly name: string;
  readonly reason: string;
  readonly errors: number;
  /** What the handler does with the packet. */
  handle(connection: glisten.Connection<never>): unknown;
  /** What the peer does when it has sent it. */
  peer?(peer: Peer): void;
}

const nothing = (): undefined => undefined;

const ENDINGS: Ending[] = [
  { name: "the peer's FIN", reason: "normal", errors: 0, handle: nothing, peer: (peer) => peer.socket.end() },
  {
    name: "the peer's RST",
    reason: "reset",
    errors: 0,
    handle: nothing,
    peer: (peer) => peer.socket.resetAndDestroy(),
  },
  { name: "stop()", reason: "normal", errors: 0, handle: () => glisten.stop() },
  { name: "stop() later", reason: "normal", errors: 0, handle: async () => glisten.stop() },
  {
    name: "stopAbnormal()",
    reason: "handler",
    errors: 1,
    handle: () => glisten.stopAbnormal(new Error("enough")),
  },
  {
    name: "a throw",
    reason: "handler",
    errors: 1,
    handle: () => {
      throw new Error("thrown");
    },
  },
  { name: "a rejection", reason: "handler", errors: 1, handle: () => Promise.reject(new Error("rejected")) },
  { name: "an answer of no known kind", reason: "handler", errors: 1, handle: () => ({ kind: "nonsense" }) },
  { name: "close()", reason: "normal", errors: 0, handle: (connection) => connection.close() },
  { name: "destroy()", reason: "normal", errors: 0, handle: (connection) => connection.destroy() },
  {
    name: "destroy(error)",
    reason: "handler",
    errors: 1,
    handle: (connection) => connection.destroy(new Error("destroyed")),
  },
  { name: "reset()", reason: "normal", errors: 0, handle: (connection) => connection.reset() },
];

describe("a connection that ends by", () => {
  for (const ending of ENDINGS) {
    it(`${ending.name} is closed once`, async () => {
      const closes: [number, string][] = [];
      const { errors, handler } = reports();
      await using server = await glisten
        .new<number>(
          () => 1,
          (state, message, connection) => {
            if (message.type !== "packet") return;
            if (message.data.toString() === "count") {
              connection.write("ok");
              return glisten.continue(state + 1);
            }
            return ending.handle(connection) as undefined;
          },
        )
        .withClose((state, reason) => void closes.push([state, reason.type]))
        .onError(handler)
        .withStopDeadline(100)
        .start(0);
      const bystander = await dial(server);
      const peer = await dial(server);
      peer.socket.write("count");
      expect(await peer.read(2)).toBe("ok");
      peer.socket.write("end");
      await eventually(() => server.info().bytesRead === 8);
      ending.peer?.(peer);
      await peer.whenClosed();
      await eventually(() => closes.length > 0);

      bystander.socket.write("count");
      expect(await bystander.read(2)).toBe("ok");
      expect(closes).toEqual([[2, ending.reason]]);
      expect(errors).toHaveLength(ending.errors);
      expect(server.info().connections).toBe(1);
      bystander.socket.end();
    });
  }

  it("the stop deadline is closed once, as killed", async () => {
    const closes: string[] = [];
    const server = await glisten
      .new(nothing, nothing)
      .withClose((_state, reason) => void closes.push(reason.type))
      .start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    expect(await server.stop({ deadlineMs: 20 })).toMatchObject({ drained: 0, killed: 1 });
    expect(closes).toEqual(["killed"]);
    await peer.whenClosed();
  });
});

describe("withClose", () => {
  it("sees the state a handler leaves that was pending when the peer went", async () => {
    const finish = resolvers();
    const closes: string[] = [];
    await using server = await glisten
      .new<string>(
        () => "before",
        async () => {
          await finish.promise;
          return glisten.continue("after");
        },
      )
      .withClose((state) => void closes.push(state))
      .start(0);
    const peer = await dial(server);
    peer.socket.write("x");
    await eventually(() => server.info().bytesRead === 1);
    peer.socket.resetAndDestroy();
    await eventually(() => server.info().states.closing === 1);
    expect(closes).toEqual([]);
    finish.resolve();
    await eventually(() => server.info().connections === 0);
    expect(closes).toEqual(["after"]);
  });

  it("may fail, at once or later: the failure is only reported", async () => {
    const { errors, handler } = reports();
    let first = true;
    await using server = await glisten
      .new(nothing, nothing)
      .withClose(() => {
        if (!first) return Promise.reject(new Error("later"));
        first = false;
        throw new Error("at once");
      })
      .onError(handler)
      .start(0);
    for (let i = 1; i <= 2; i++) {
      (await dial(server)).socket.end();
      await eventually(() => errors.length === i && server.info().connections === 0);
    }
    expect(errors.map(({ message }) => message)).toEqual([
      "The close handler failed: at once",
      "The close handler failed: later",
    ]);
  });

  it("is not called when init fails, in whichever way", async () => {
    const { errors, handler } = reports();
    let closes = 0;
    const inits = [
      () => {
        throw new Error("thrown");
      },
      () => Promise.reject(new Error("rejected")),
      () => new Promise<undefined>(nothing),
    ];
    await using server = await glisten
      .new<undefined>(() => inits.shift()!(), nothing)
      .withClose(() => void closes++)
      .onError(handler)
      .withInitTimeout(50)
      .withPoolSize(1)
      .start(0);
    for (let i = 0; i < 3; i++) await (await dial(server)).whenClosed();
    expect(errors.map((error) => error.handler)).toEqual(["init", "init", "init"]);
    expect(closes).toBe(0);
    await eventually(() => server.info().connections === 0);
  });
});

function resolvers(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
