/** Wherever user code is called: a throw or a rejection is reported once, and nothing else happens. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import * as actor from "../../src/actor/index.ts";
import * as glisten from "../../src/index.ts";
import { dial, eventually, type Peer } from "./peer.ts";

const boom = new Error("boom");

/** The ways user code fails. */
const failures: readonly [string, () => unknown][] = [
  [
    "throws",
    () => {
      throw boom;
    },
  ],
  ["rejects", () => Promise.reject(boom)],
  [
    "returns a thenable that fails at once",
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tested
      then() {
        throw boom;
      },
    }),
  ],
  [
    "returns a thenable that rejects, twice",
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tested
      then(_resolve: unknown, reject: (error: unknown) => void) {
        reject(boom);
        reject(boom);
      },
    }),
  ],
];

let warnings: Error[];
const note = (warning: Error): void => void warnings.push(warning);

beforeEach(() => {
  warnings = [];
  process.on("warning", note);
});

afterEach(() => {
  process.off("warning", note);
});

/** The first of what comes; then the time in which a second would have come. */
async function once(list: readonly unknown[]): Promise<void> {
  await eventually(() => list.length > 0);
  await sleep(5);
}

const nothing = (): undefined => undefined;

describe.each(failures)("user code that %s", (_how, fail) => {
  const failing = fail as () => undefined;
  type Built = glisten.Builder;
  const go = (peer: Peer): void => void peer.socket.write("go");

  const callbacks: [callback: string, handler: string, build: () => Built, act?: (peer: Peer) => void][] = [
    ["init", "init", () => glisten.new(failing, nothing)],
    ["loop", "loop", () => glisten.new(nothing, failing), go],
    [
      "a sent message's loop",
      "loop",
      () =>
        glisten.new<undefined, string>((connection) => connection.subject.send("go") as undefined, failing),
    ],
    [
      "withClose",
      "close",
      () => glisten.new(nothing, nothing).withClose(failing),
      (peer) => void peer.socket.end(),
    ],
    ["protocol.open", "init", () => glisten.protocol(() => ({ open: failing, data: nothing }))],
    ["protocol.data", "data", () => glisten.protocol(() => ({ data: failing })), go],
    [
      "protocol.closed",
      "close",
      () => glisten.protocol(() => ({ data: nothing, closed: failing })),
      (peer) => void peer.socket.end(),
    ],
  ];

  it.each(callbacks)("%s is reported once", async (_callback, handler, build, act) => {
    const errors: glisten.HandlerError[] = [];
    const server = await build()
      .onError((error) => void errors.push(error))
      .withStopDeadline(0)
      .start(0);
    onTestFinished(async () => void (await server.stop()));
    const peer = await dial(server);
    act?.(peer);
    await once(errors);
    expect(errors.map((error) => [error.handler, error.cause])).toEqual([[handler, boom]]);
    await eventually(() => server.info().connections === 0);
    expect(warnings).toEqual([]);
  });

  it("withShutdown is reported once", async () => {
    const errors: glisten.HandlerError[] = [];
    const server = await glisten
      .new(nothing, nothing)
      .withShutdown(failing)
      .onError((error) => void errors.push(error))
      .start(0);
    await dial(server);
    await eventually(() => server.info().states.open === 1);
    expect(await server.stop()).toMatchObject({ killed: 0 });
    expect(errors.map(({ cause }) => cause)).toEqual([boom]);
  });

  it("onError is a process warning; withClose still runs", async () => {
    const closes: unknown[] = [];
    const server = await glisten
      .new(
        () => "state",
        () => {
          throw new Error("the loop's");
        },
      )
      .withClose((state, reason) => void closes.push([state, reason.type]))
      .onError(failing)
      .start(0);
    onTestFinished(async () => void (await server.stop()));
    const peer = await dial(server);
    go(peer);
    await once(warnings);
    expect(warnings).toEqual([boom]);
    expect(closes).toEqual([["state", "handler"]]);
  });

  const bare: [callback: string, act: () => unknown][] = [
    [
      "a subscriber of an actor's subject",
      async () => {
        const it = await actor.start({
          init: nothing,
          loop: nothing as (state: undefined, m: number) => undefined,
        });
        onTestFinished(() => it.kill());
        it.subject.subscribe(failing);
        it.subject.send(1);
      },
    ],
    [
      "a subscriber of a free subject",
      () => {
        const free = actor.subject<number>();
        free.subscribe(failing);
        free.send(1);
      },
    ],
    [
      "a source's unsubscribe",
      async () => {
        const source: actor.Source<number> = { subscribe: () => failing };
        const it = await actor.start({
          init: () => [0, actor.selector<number>().select(source)],
          loop: nothing as (state: number, message: number) => undefined,
        });
        expect(await it.stop()).toEqual({ type: "shutdown" });
      },
    ],
    [
      "a monitor's receiver",
      async () => {
        const it = await actor.start({ init: nothing, loop: nothing });
        it.monitor(failing);
        it.kill();
      },
    ],
    [
      "a supervisor's onEvent",
      async () => {
        const children = [{ id: "child", start: () => actor.start({ init: nothing, loop: nothing }) }];
        let told = 0;
        const onEvent = (): unknown => (told++ === 0 ? failing() : undefined);
        await (await actor.supervisor({ children, onEvent })).stop();
      },
    ],
    [
      "a factory's onEvent",
      async () => {
        let told = 0;
        const factory = actor.factorySupervisor({
          start: () => actor.start({ init: nothing, loop: nothing }),
          onEvent: (): unknown => (told++ === 0 ? failing() : undefined),
        });
        (await factory.startChild(undefined)).kill();
        await eventually(() => told > 0);
        await factory.stop();
      },
    ],
    [
      "an adopted child's shutdown",
      async () => {
        const factory = actor.factorySupervisor();
        const child = { shutdown: failing, kill: nothing };
        factory.adopt(child);
        await factory.stop(5);
      },
    ],
    [
      "an actor's onClose behind a crash",
      async () => {
        const it = await actor.start({
          init: nothing,
          loop: (_state, _message: number) => actor.stopAbnormal(new Error("first")),
          onClose: failing,
        });
        it.subject.send(1);
        expect(await it.exited).toMatchObject({ type: "abnormal", error: new Error("first") });
      },
    ],
  ];

  it.each(bare)("%s is a process warning, once", async (_callback, act) => {
    await act();
    await once(warnings);
    expect(warnings).toEqual([boom]);
  });

  it("an actor's init, loop and onClose are its end", async () => {
    const loop = nothing as (state: undefined, message: number) => undefined;
    await expect(actor.start({ init: failing, loop })).rejects.toMatchObject({ cause: boom });
    const crashed = await actor.start({ init: nothing, loop: failing as typeof loop });
    const { exited } = crashed;
    crashed.subject.send(1);
    expect(await exited).toEqual({ type: "abnormal", error: boom });
    const closed = await actor.start({ init: nothing, loop, onClose: failing });
    expect(await closed.stop()).toEqual({ type: "abnormal", error: boom });
    expect(warnings).toEqual([]);
  });
});
