import { describe, expect, it } from "vitest";
import {
  type ExitReason,
  MailboxOverflowError,
  continue as next,
  normalExit,
  type OverflowPolicy,
  type Selector,
  selector,
  shutdownExit,
  stop,
  stopAbnormal,
  subject,
} from "../../src/actor/index.ts";
import { Loop, type LoopOptions } from "../../src/actor/loop.ts";
import { UsageError } from "../../src/errors.ts";

type Exit = { readonly reason: ExitReason; readonly state: unknown };

interface Begun<State, Message> extends LoopOptions<State, Message> {
  readonly state?: State;
  readonly selector?: Selector<Message>;
}

/** A loop that notes its exits; given a state, it has begun. */
function loopOf<State, Message>({ state, selector, ...options }: Begun<State, Message>) {
  const exits: Exit[] = [];
  const loop = new Loop<State, Message>({
    ...options,
    onExit: (reason, state, owner) => {
      exits.push({ reason, state });
      options.onExit?.(reason, state, owner);
    },
  });
  if (state !== undefined) loop.begin(state, selector);
  return { loop, exits };
}

const summing = (state: number, message: number) => next(state + message);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function deferred<T = void>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

describe("deliver", () => {
  it("handles at once, on the caller's stack, and returns nothing", () => {
    const { loop } = loopOf({ state: 0, handle: summing });
    expect(loop.deliver(2)).toBeUndefined();
    expect(loop.state).toBe(2);
  });

  it("keeps the state when the handler returns nothing", () => {
    const { loop } = loopOf({ state: "kept", handle: () => {} });
    loop.deliver(1);
    expect(loop.state).toBe("kept");
    expect(loop.alive).toBe(true);
  });

  it("gives a promise for an async handler, and queues what comes in the meantime", async () => {
    const gates = [deferred(), deferred()];
    const order: string[] = [];
    const { loop } = loopOf({
      state: 0,
      handle: async (count: number, message: number) => {
        order.push(`begin ${message}`);
        await gates[message]?.promise;
        order.push(`end ${message}`);
        return next(count + 1);
      },
    });
    const first = loop.deliver(0);
    const second = loop.deliver(1);
    gates[1]?.resolve();
    gates[0]?.resolve();
    await first;
    expect(order.slice(0, 2)).toEqual(["begin 0", "end 0"]);
    await second;
    expect(order).toEqual(["begin 0", "end 0", "begin 1", "end 1"]);
    expect(loop.state).toBe(2);
  });

  it("is not subject to the mailbox's bound", async () => {
    const gate = deferred();
    const seen: number[] = [];
    const { loop } = loopOf({
      state: 0,
      maxMailbox: 1,
      handle: (_state, message: number) => {
        seen.push(message);
        if (message === 0) return gate.promise;
      },
    });
    const all = [0, 1, 2, 3].map((message) => loop.deliver(message));
    gate.resolve();
    await Promise.all(all);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it("takes turns with posted messages", async () => {
    const gate = deferred();
    const seen: string[] = [];
    const { loop } = loopOf({
      state: 0,
      handle: (_state, message: string) => {
        seen.push(message);
        if (message === "first") return gate.promise;
      },
    });
    void loop.deliver("first");
    for (const message of ["p1", "p2", "p3"]) loop.post(message);
    const delivered = ["d1", "d2", "d3"].map((message) => loop.deliver(message));
    gate.resolve();
    await Promise.all(delivered);
    await turn();
    expect(seen.filter((one) => one.startsWith("d"))).toEqual(["d1", "d2", "d3"]);
    expect(seen.filter((one) => one.startsWith("p"))).toEqual(["p1", "p2", "p3"]);
    expect(seen.slice(1, 5).filter((one) => one.startsWith("p"))).toHaveLength(2);
  });

  it("accepts thenables that are no promises", async () => {
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
    const thenable = { then: (yes: (value: undefined) => void) => yes(undefined) };
    const { loop } = loopOf({ state: 0, handle: () => thenable as PromiseLike<undefined> });
    await loop.deliver(1);
    expect(loop.alive).toBe(true);
  });
});

describe("how a loop ends", () => {
  const boom = new Error("boom");

  const abnormal = { type: "abnormal", error: boom };

  it.each<[string, () => unknown, ExitReason["type"]]>([
    ["stop()", () => stop(), "normal"],
    ["stopAbnormal(…)", () => stopAbnormal(boom), "abnormal"],
    [
      "a throw",
      () => {
        throw boom;
      },
      "abnormal",
    ],
    ["a promise of stop()", async () => stop(), "normal"],
    ["a promise of stopAbnormal(…)", async () => stopAbnormal(boom), "abnormal"],
    [
      "a rejection",
      async () => {
        throw boom;
      },
      "abnormal",
    ],
  ])("by %s", async (_name, answer, type) => {
    const { loop, exits } = loopOf({ state: "last", handle: () => answer() as undefined });
    await loop.deliver(1);
    expect(exits).toEqual([{ reason: type === "abnormal" ? abnormal : { type }, state: "last" }]);
    expect(loop.alive).toBe(false);
    expect(loop.deliver(2)).toBeUndefined();
    loop.post(3);
    loop.stop(shutdownExit);
    loop.finish(shutdownExit);
    expect(exits).toHaveLength(1);
  });

  it.each([[null], [5], ["text"], [{}], [{ kind: "go-on" }]])("by returning nonsense: %o", (answer) => {
    const { loop, exits } = loopOf({ state: 0, handle: () => answer as unknown as undefined });
    loop.deliver(1);
    expect(exits[0]?.reason).toMatchObject({ type: "abnormal", error: expect.any(UsageError) });
  });

  it("stop leaves an open promise behind and ignores what becomes of it", async () => {
    const gate = deferred<ReturnType<typeof next<number>>>();
    const { loop, exits } = loopOf({ state: 1, handle: (_state: number, _message: number) => gate.promise });
    const handled = loop.deliver(1);
    const waiting = loop.deliver(2);
    loop.post(3);
    loop.stop({ type: "killed" });
    expect(exits).toEqual([{ reason: { type: "killed" }, state: 1 }]);
    await handled;
    await waiting;
    gate.reject(boom);
    await turn();
    expect(exits).toHaveLength(1);
    expect(loop.state).toBe(1);
  });

  it("finish lets the handler at work end, and drops what waits", async () => {
    const gate = deferred();
    const seen: number[] = [];
    const { loop, exits } = loopOf({
      state: 0,
      handle: async (_state, message: number) => {
        seen.push(message);
        await gate.promise;
        return next(message);
      },
    });
    void loop.deliver(1);
    loop.post(2);
    loop.finish(shutdownExit);
    loop.post(3);
    expect(exits).toEqual([]);
    gate.resolve();
    await turn();
    expect(exits).toEqual([{ reason: { type: "shutdown" }, state: 1 }]);
    expect(seen).toEqual([1]);
  });

  it("finish gives way to the handler's failure, and to stop", async () => {
    const gate = deferred();
    const failing = loopOf({ state: 0, handle: () => gate.promise });
    void failing.loop.deliver(1);
    failing.loop.finish(shutdownExit);
    gate.reject(boom);
    await turn();
    expect(failing.exits).toEqual([{ reason: abnormal, state: 0 }]);

    const stuck = loopOf({ state: 0, handle: () => new Promise<undefined>(() => {}) });
    void stuck.loop.deliver(1);
    stuck.loop.finish(shutdownExit);
    stuck.loop.stop({ type: "killed" });
    expect(stuck.exits).toEqual([{ reason: { type: "killed" }, state: 0 }]);
  });

  it("stop from inside the handler is told when the handler has returned, with its state", () => {
    const order: string[] = [];
    const { loop, exits } = loopOf({
      state: 0,
      handle: (_state: number, _message: number) => {
        loop.stop(shutdownExit);
        order.push(`alive ${loop.alive}, exits ${exits.length}`);
        return next(7);
      },
    });
    loop.deliver(1);
    expect(order).toEqual(["alive false, exits 0"]);
    expect(exits).toEqual([{ reason: { type: "shutdown" }, state: 7 }]);
  });

  it("a failure after stop from inside the handler is not hidden", () => {
    const { loop, exits } = loopOf({
      state: 0,
      handle: () => {
        loop.stop(normalExit);
        throw boom;
      },
    });
    loop.deliver(1);
    expect(exits).toEqual([{ reason: abnormal, state: 0 }]);
  });

  it("stop from inside an async handler does not wait for it", async () => {
    const { loop, exits } = loopOf({
      state: 0,
      handle: async () => {
        loop.stop(normalExit);
        await new Promise(() => {});
      },
    });
    expect(loop.deliver(1)).toBeUndefined();
    expect(exits).toEqual([{ reason: normalExit, state: 0 }]);
  });
});

describe("post", () => {
  it("handles at once when nothing is being handled", () => {
    const { loop } = loopOf({ state: 0, handle: summing });
    loop.post(1);
    loop.post(2);
    expect(loop.state).toBe(3);
  });

  it("never runs a handler inside another", () => {
    const order: string[] = [];
    const second = loopOf({
      state: 0,
      handle: (_state, message: string) => {
        order.push(`second ${message}`);
      },
    });
    const first = loopOf({
      state: 0,
      handle: (_state, message: string) => {
        order.push(`first ${message} begins`);
        if (message === "a") {
          first.loop.post("b");
          second.loop.post("c");
        }
        order.push(`first ${message} ends`);
      },
    });
    first.loop.post("a");
    expect(order).toEqual(["first a begins", "first a ends", "second c", "first b begins", "first b ends"]);
  });

  it("before the loop begins waits, and is handled ahead of every answer to it", () => {
    const seen: number[] = [];
    const { loop } = loopOf({
      handle: (_state: number, message: number) => {
        seen.push(message);
        if (message === 1) loop.post(4);
      },
    });
    for (const message of [1, 2, 3]) loop.post(message);
    expect(seen).toEqual([]);
    loop.begin(0);
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  it("passes a message down a chain of any length", async () => {
    const length = 50_000;
    const arrived = deferred<number>();
    let following: Loop<number, number> | undefined;
    for (let i = 0; i < length; i += 1) {
      const to = following;
      following = loopOf<number, number>({
        state: 0,
        handle: (_state, hops) => (to === undefined ? arrived.resolve(hops + 1) : to.post(hops + 1)),
      }).loop;
    }
    following?.post(0);
    expect(await arrived.promise).toBe(length);
  });

  it("keeps each sender's order", async () => {
    const seen: string[] = [];
    const sink = loopOf({
      state: 0,
      handle: async (_state, message: string) => {
        seen.push(message);
      },
    });
    for (let i = 0; i < 600; i += 1) sink.loop.post(`a${i}`);
    while (seen.length < 600) await turn();
    expect(seen).toEqual(Array.from({ length: 600 }, (_, i) => `a${i}`));
  });

  it.each<[string, (again: () => void) => undefined | Promise<undefined>]>([
    [
      "sync",
      (again) => {
        again();
        return undefined;
      },
    ],
    [
      "async",
      async (again) => {
        again();
        return undefined;
      },
    ],
  ])("an endless chain of messages to oneself leaves the process responsive: %s", async (_name, handle) => {
    let handled = 0;
    const { loop } = loopOf({
      state: 0,
      handle: () => {
        handled += 1;
        return handle(() => loop.post(1));
      },
    });
    loop.post(1);
    for (let i = 0; i < 10; i += 1) await turn();
    const before = handled;
    await turn();
    expect(handled).toBeGreaterThan(before);
    loop.stop(normalExit);
  });

  it.each(["sync", "async"])("an endless exchange of two loops does too: %s", async (how) => {
    let handled = 0;
    const bounce = (peer: () => Loop<number, number>) => () => {
      handled += 1;
      if (how === "sync") return void peer().post(1);
      return (async () => {
        await null;
        peer().post(1);
      })();
    };
    const a: Loop<number, number> = loopOf<number, number>({ state: 0, handle: bounce(() => b) }).loop;
    const b: Loop<number, number> = loopOf<number, number>({ state: 0, handle: bounce(() => a) }).loop;
    a.post(1);
    for (let i = 0; i < 10; i += 1) await turn();
    expect(handled).toBeGreaterThan(100);
    a.stop(normalExit);
    b.stop(normalExit);
  });

  it("gives every busy loop its share", async () => {
    const counts = [0, 0, 0];
    const loops = counts.map((_zero, index) => {
      const loop: Loop<number, number> = loopOf<number, number>({
        state: 0,
        handle: () => {
          counts[index] = (counts[index] ?? 0) + 1;
          loop.post(1);
        },
      }).loop;
      return loop;
    });
    for (const loop of loops) loop.post(1);
    for (let i = 0; i < 20; i += 1) await turn();
    for (const loop of loops) loop.stop(normalExit);
    expect(Math.min(...counts)).toBeGreaterThan(Math.max(...counts) / 4);
  });
});

describe("handlers nested until the stack is exhausted", () => {
  it("end the innermost loop and hold up no other", () => {
    const reasons: ExitReason[] = [];
    const dive = (): void => {
      const deeper = loopOf<number, number>({
        state: 0,
        handle: dive,
        onExit: (reason) => reasons.push(reason),
      }).loop;
      deeper.deliver(1);
    };
    dive();
    expect(reasons[0]).toMatchObject({ type: "abnormal", error: expect.any(RangeError) });
    const other = loopOf({ state: 0, handle: summing });
    other.loop.post(1);
    expect(other.loop.state).toBe(1);
  });
});

describe("a bounded mailbox", () => {
  it.each<[OverflowPolicy, number[]]>([
    ["drop-oldest", [0, 3, 4]],
    ["drop-newest", [0, 1, 2]],
  ])("%s", async (overflow, wanted) => {
    const gate = deferred();
    const seen: number[] = [];
    const { loop } = loopOf({
      state: 0,
      maxMailbox: 2,
      overflow,
      handle: (_state, message: number) => {
        seen.push(message);
        if (message === 0) return gate.promise;
      },
    });
    for (const message of [0, 1, 2, 3, 4]) loop.post(message);
    gate.resolve();
    await turn();
    expect(seen).toEqual(wanted);
  });

  it.each([["stop" as const], [undefined]])("%s ends the loop", (overflow) => {
    const { loop, exits } = loopOf({
      state: 0,
      maxMailbox: 2,
      overflow,
      handle: () => new Promise<undefined>(() => {}),
    });
    for (const message of [0, 1, 2]) loop.post(message);
    expect(exits).toEqual([]);
    loop.post(3);
    expect(exits[0]?.reason).toEqual({ type: "abnormal", error: new MailboxOverflowError(2) });
  });

  it("stop ends the loop that overflows its own mailbox, after the handler", () => {
    const { loop, exits } = loopOf({
      state: 0,
      maxMailbox: 1,
      handle: (_state, message: number) => {
        if (message > 0) return;
        loop.post(1);
        loop.post(2);
        return next(9);
      },
    });
    loop.post(0);
    expect(exits).toEqual([
      { reason: { type: "abnormal", error: expect.any(MailboxOverflowError) }, state: 9 },
    ]);
  });
});

describe("a loop's selector", () => {
  it("is heard, replaced by withSelector, and left at the end", () => {
    const [first, second] = [subject<number>(), subject<number>()];
    const seen: number[] = [];
    const { loop } = loopOf({
      state: 0,
      selector: selector<number>().select(first),
      handle: (_state, message: number) => {
        seen.push(message);
        if (message === 1) return next<number, number>(0).withSelector(selector<number>().select(second));
      },
    });
    first.send(1);
    first.send(2);
    second.send(3);
    expect(seen).toEqual([1, 3]);
    expect(first.length).toBe(1);
    loop.stop(normalExit);
    second.send(4);
    expect(second.length).toBe(1);
    expect(seen).toEqual([1, 3]);
  });

  it("is heard from the start: what its sources have in store is handled when begin returns", () => {
    const source = subject<number>();
    for (const message of [1, 2, 3]) source.send(message);
    const seen: number[] = [];
    loopOf({
      state: 0,
      selector: selector<number>().select(source),
      handle: (_state, message: number) => {
        seen.push(message);
      },
    });
    expect(seen).toEqual([1, 2, 3]);
  });

  it("that floods the mailbox from the start ends the loop, once begin has returned", async () => {
    const source = subject<number>();
    for (const message of [1, 2, 3]) source.send(message);
    const { loop, exits } = loopOf({
      state: 0,
      maxMailbox: 2,
      selector: selector<number>().select(source),
      handle: () => {},
    });
    expect(exits).toEqual([]);
    expect(loop.alive).toBe(false);
    await turn();
    expect(exits[0]?.reason.type).toBe("abnormal");
  });

  it("whose map throws ends the loop and spares the sender", () => {
    const source = subject<number>();
    const { exits } = loopOf({
      state: 0,
      selector: selector<number>().selectMap(source, () => {
        throw new Error("map");
      }),
      handle: () => {},
    });
    source.send(1);
    expect(exits[0]?.reason).toMatchObject({ type: "abnormal", error: new Error("map") });
  });

  it("that cannot be subscribed to ends the loop when it comes from a handler", () => {
    const broken = {
      subscribe: () => {
        throw new Error("broken");
      },
    };
    const { loop, exits } = loopOf({
      state: 0,
      handle: () => next<number, number>(1).withSelector(selector<number>().select(broken)),
    });
    loop.deliver(1);
    expect(exits[0]?.reason).toMatchObject({ type: "abnormal", error: new Error("broken") });
  });
});
