import { describe, expect, expectTypeOf, it, vi } from "vitest";
import * as actor from "../../src/actor/index.ts";
import {
  type ActorRef,
  CallError,
  call,
  type ExitReason,
  type Subject,
  start,
} from "../../src/actor/index.ts";
import { UsageError } from "../../src/errors.ts";

type Counter = { readonly add: number } | { readonly get: Subject<number> };

const startCounter = (): Promise<ActorRef<Counter>> =>
  start({
    init: () => 0,
    loop: (count, message: Counter) => {
      if ("add" in message) return actor.continue(count + message.add);
      message.get.send(count);
    },
  });

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = (): Promise<never> => new Promise(() => {});

describe("an actor", () => {
  it("holds state and answers calls", async () => {
    const counter = await startCounter();
    counter.subject.send({ add: 2 });
    counter.subject.send({ add: 3 });
    const count = await call(counter.subject, (get: Subject<number>) => ({ get }), 1000);
    expectTypeOf(count).toEqualTypeOf<number>();
    expect(count).toBe(5);
    expect(await counter.stop()).toEqual({ type: "shutdown" });
  });

  it("hears a selector given by init, besides its own subject", async () => {
    const ticks = actor.subject<number>();
    const seen: string[] = [];
    const it = await start({
      init: async (self: ActorRef<string>): Promise<[number, actor.Selector<string>]> => {
        self.subject.send("early");
        await turn();
        return [0, actor.selector<string>().selectMap(ticks, (tick) => `tick ${tick}`)];
      },
      loop: (state, message) => {
        expectTypeOf(state).toEqualTypeOf<number>();
        seen.push(message);
      },
    });
    it.subject.send("own");
    ticks.send(1);
    expect(seen).toEqual(["early", "own", "tick 1"]);
    it.kill();
  });

  it("keeps the order of messages sent during init, answers included", async () => {
    const seen: number[] = [];
    const it = await start({
      init: (self) => {
        for (const message of [1, 2, 3]) self.subject.send(message);
        return 0;
      },
      loop: (_state, message: number, self) => {
        seen.push(message);
        if (message === 1) self.subject.send(4);
      },
    });
    await turn();
    expect(seen).toEqual([1, 2, 3, 4]);
    it.kill();
  });

  it("keeps a lasting address over restarts when each incarnation selects it", async () => {
    const address = actor.subject<string>();
    const seen: string[] = [];
    const incarnation = (): Promise<ActorRef<string>> =>
      start({
        init: () => [0, actor.selector<string>().select(address)] as const,
        loop: (_state: number, message: string) => {
          seen.push(message);
          if (message === "crash") return actor.stopAbnormal("crashed");
        },
        onClose: () => {},
      });
    await incarnation();
    address.send("crash");
    address.send("kept");
    const second = await incarnation();
    await turn();
    expect(seen).toEqual(["crash", "kept"]);
    second.kill();
  });
});

describe("init", () => {
  const boom = new Error("boom");

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw boom;
      },
    ],
    ["rejects", () => Promise.reject(boom)],
  ])("that %s fails the start", async (_name, init) => {
    const onClose = vi.fn();
    await expect(start({ name: "x", init, loop: () => {}, onClose })).rejects.toMatchObject({
      name: "ActorStartError",
      reason: "init-failed",
      message: "actor x failed in init: boom",
      cause: boom,
    });
    expect(onClose).not.toHaveBeenCalled();
  });

  it("that takes too long fails the start; what it makes in the end is disposed of", async () => {
    let finish!: (state: string) => void;
    let self: ActorRef<number> | undefined;
    const onClose = vi.fn();
    const starting = start<string, number>({
      init: (it) => {
        self = it;
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
      initTimeoutMs: 5,
      loop: () => {},
      onClose,
    });
    await expect(starting).rejects.toMatchObject({ reason: "init-timeout" });
    expect(onClose).not.toHaveBeenCalled();
    expect(self?.alive).toBe(false);
    expect(await self?.exited).toMatchObject({ type: "abnormal" });
    finish("late state");
    await turn();
    expect(onClose.mock.calls).toEqual([["late state", expect.objectContaining({ type: "abnormal" })]]);
  });

  it.each<["stop" | "kill", ExitReason["type"]]>([
    ["stop", "shutdown"],
    ["kill", "killed"],
  ])("during which the actor is told to %s fails the start", async (how, type) => {
    let self: ActorRef<number> | undefined;
    const onClose = vi.fn();
    let finish!: (state: number) => void;
    const starting = start<number, number>({
      init: (it) => {
        self = it;
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
      loop: () => {},
      onClose,
    });
    void self?.[how]();
    await expect(starting).rejects.toMatchObject({ reason: "init-stopped" });
    expect(await self?.exited).toEqual({ type });
    finish(1);
    await turn();
    expect(onClose.mock.calls).toEqual([[1, { type }]]);
  });

  it("whose selector cannot be subscribed to fails the start and disposes of the state", async () => {
    const onClose = vi.fn();
    const broken: actor.Source<number> = {
      subscribe: () => {
        throw boom;
      },
    };
    const starting = start({
      init: () => ["state", actor.selector<number>().select(broken)] as const,
      loop: () => {},
      onClose,
    });
    await expect(starting).rejects.toMatchObject({ reason: "init-failed", cause: boom });
    expect(onClose).toHaveBeenCalledTimes(1);
  });

  it("during which the mailbox overflows fails the start", async () => {
    const starting = start({
      init: async (self: ActorRef<number>) => {
        for (const message of [1, 2, 3]) self.subject.send(message);
        return 0;
      },
      maxMailbox: 2,
      loop: () => {},
    });
    await expect(starting).rejects.toMatchObject({ cause: expect.any(actor.MailboxOverflowError) });
  });

  it.each<[string, object, string]>([
    ["a mailbox of 0", { maxMailbox: 0 }, "maxMailbox must be an integer of at least 1, got 0"],
    [
      "a policy of no name",
      { overflow: "drop" },
      'overflow must be "drop-oldest", "drop-newest" or "stop", got "drop"',
    ],
    ["no init", { init: undefined }, "init must be a function, got undefined"],
    ["no loop", { loop: null }, "loop must be a function, got null"],
    ["an onClose that is none", { onClose: 1 }, "onClose must be a function, got 1"],
    ["a misspelt name", { onExit: () => {} }, 'actor.start has no option "onExit"'],
    ["a negative time", { initTimeoutMs: -1 }, "initTimeoutMs must be a number of at least 0, got -1"],
  ])("refuses %s at the call", (_name, options, message) => {
    const call = () => start({ init: () => 0, loop: () => {}, ...options });
    expect(call).toThrow(UsageError);
    expect(call).toThrow(message);
  });
});

describe("how an actor ends", () => {
  const startPlain = (
    loop: (state: number, message: string) => actor.LoopResult<number, string> | Promise<undefined>,
    onClose?: (state: number, reason: ExitReason) => void | Promise<void>,
  ): Promise<ActorRef<string>> => start({ init: () => 1, loop, onClose });

  it("by itself: onClose, then monitors and exited", async () => {
    const order: string[] = [];
    const it = await startPlain(
      () => actor.stop(),
      async (state, reason) => {
        await turn();
        order.push(`onClose ${reason.type} ${state}`);
      },
    );
    it.monitor((down) => order.push(`down ${down.reason.type} ${down.process === it}`));
    it.subject.send("go");
    expect(it.alive).toBe(false);
    expect(await it.exited).toEqual({ type: "normal" });
    expect(order).toEqual(["onClose normal 1", "down normal true"]);
  });

  it("stop lets the message at work be finished", async () => {
    let release!: () => void;
    const seen: string[] = [];
    const it = await startPlain(async (_state, message) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      seen.push(message);
      return undefined;
    });
    it.subject.send("first");
    it.subject.send("second");
    const stopped = it.stop();
    release();
    expect(await stopped).toEqual({ type: "shutdown" });
    expect(seen).toEqual(["first"]);
  });

  it("stop kills at the deadline: a handler that never resolves", async () => {
    const onClose = vi.fn();
    const it = await startPlain(never, onClose);
    it.subject.send("hang");
    expect(await it.stop(5)).toEqual({ type: "killed" });
    expect(onClose.mock.calls).toEqual([[1, { type: "killed" }]]);
  });

  it("stop kills at the deadline: an onClose that never resolves", async () => {
    const it = await startPlain(() => {}, never);
    const first = it.stop(Number.POSITIVE_INFINITY);
    expect(await it.stop(5)).toEqual({ type: "killed" });
    expect(await first).toEqual({ type: "killed" });
  });

  it("kill does not wait for onClose", async () => {
    const it = await startPlain(() => {}, never);
    it.kill();
    it.kill();
    expect(await it.exited).toEqual({ type: "killed" });
  });

  it("stop from inside its own loop", async () => {
    const it = await start({
      init: () => 0,
      loop: (_state, _message: string, self) => {
        void self.stop();
        return actor.continue(5);
      },
      onClose: (state) => expect(state).toBe(5),
    });
    it.subject.send("go");
    expect(await it.exited).toEqual({ type: "shutdown" });
  });

  it.each<[string, () => void | Promise<void>]>([
    [
      "throws",
      () => {
        throw new Error("onClose");
      },
    ],
    ["rejects", () => Promise.reject(new Error("onClose"))],
  ])("an onClose that %s makes an orderly exit abnormal", async (_name, onClose) => {
    const it = await startPlain(() => actor.stop(), onClose);
    it.subject.send("go");
    expect(await it.exited).toEqual({ type: "abnormal", error: new Error("onClose") });
  });

  it("await using stops it", async () => {
    let seen: ActorRef<Counter>;
    {
      await using counter = await startCounter();
      seen = counter;
    }
    expect(seen.alive).toBe(false);
  });

  it("a crash nobody watches is a process warning; a watched one is not", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    // The usual listener would print it.
    const usual = process.listeners("warning");
    process.removeAllListeners("warning");
    process.on("warning", note);
    const crash = (): Promise<ActorRef<string>> => startPlain(() => actor.stopAbnormal(new Error("boom")));
    (await crash()).subject.send("go");
    const watched = await crash();
    watched.monitor(() => {});
    watched.subject.send("go");
    await turn();
    process.off("warning", note);
    for (const listener of usual) process.on("warning", listener);
    expect(warnings.map(({ name, message }) => [name, message])).toEqual([
      ["ActorCrash", "an actor crashed and nobody was watching"],
    ]);
  });
});

describe("monitor", () => {
  it("tells at once of a process that is dead already", async () => {
    const it = await startCounter();
    await it.stop();
    const downs: string[] = [];
    it.monitor((down) => downs.push(down.reason.type));
    actor.monitor(it).subscribe((down) => downs.push(down.type));
    expect(downs).toEqual(["shutdown", "process-down"]);
  });

  it("can be left", async () => {
    const it = await startCounter();
    const receiver = vi.fn();
    it.monitor(receiver)();
    actor.monitor(it).subscribe(receiver)();
    actor.monitor({ exited: it.exited }).subscribe(receiver)();
    await it.stop();
    await turn();
    expect(receiver).not.toHaveBeenCalled();
  });

  it("is a source for a selector, over any process with an exited promise", async () => {
    const [first, second] = [await startCounter(), await startCounter()];
    const seen: string[] = [];
    const watcher = await start({
      init: () =>
        [
          0,
          actor
            .selector<string>()
            .selectMap(actor.monitor(first), (down) => `first ${down.reason.type}`)
            .selectMap(actor.monitor({ exited: second.exited }), (down) => `second ${down.reason.type}`),
        ] as const,
      loop: (_state: number, message: string) => void seen.push(message),
    });
    first.kill();
    await second.stop();
    await turn();
    expect(seen).toEqual(["first killed", "second shutdown"]);
    watcher.kill();
  });
});

describe("call", () => {
  it("times out; the late answer is dropped", async () => {
    let reply: Subject<number> | undefined;
    const it = await start({
      init: () => 0,
      loop: (_state, message: { get: Subject<number> }) => {
        reply = message.get;
      },
    });
    const asking = call(it.subject, (get: Subject<number>) => ({ get }), 5);
    await expect(asking).rejects.toMatchObject({ name: "CallError", reason: "timeout", exit: undefined });
    reply?.send(1);
    it.kill();
  });

  it("fails at once when the callee is dead", async () => {
    const it = await startCounter();
    await it.stop();
    const asking = call(it.subject, (get: Subject<number>) => ({ get }), 60_000);
    await expect(asking).rejects.toMatchObject({ reason: "callee-down", exit: { type: "shutdown" } });
  });

  it("does no harm when it fails and nobody looks", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => void unhandled.push(error);
    process.on("unhandledRejection", note);
    const it = await startCounter();
    await it.stop();
    void call(it.subject, (get: Subject<number>) => ({ get }), 60_000);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });

  it("fails when the callee dies over it, with the cause", async () => {
    const boom = new Error("boom");
    const it = await start({
      init: () => 0,
      loop: (_state, _message: { get: Subject<number> }) => {
        throw boom;
      },
    });
    const asking = call(it.subject, (get: Subject<number>) => ({ get }), 60_000);
    await expect(asking).rejects.toMatchObject({ reason: "callee-down", cause: boom });
    await expect(asking).rejects.toThrow(CallError);
  });

  it("takes the answer of a callee that answers and ends", async () => {
    const it = await start({
      init: () => 0,
      loop: (_state, message: { get: Subject<number> }) => {
        message.get.send(42);
        return actor.stop();
      },
    });
    expect(await call(it.subject, (get: Subject<number>) => ({ get }), 60_000)).toBe(42);
  });

  it("works between actors, and with a free-standing subject", async () => {
    const address = actor.subject<{ get: Subject<string> }>();
    const asking = call(address, (get: Subject<string>) => ({ get }), Number.POSITIVE_INFINITY);
    (await address.receive()).get.send("answer");
    expect(await asking).toBe("answer");
  });
});
