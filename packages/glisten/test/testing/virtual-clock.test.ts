import { describe, expect, test, vi } from "vitest";
import { call, start, subject, supervisor } from "../../src/actor/index.ts";
import { clock as port } from "../../src/clock.ts";
import { useClock, virtualClock } from "../../src/testing/index.ts";
import { Nursery } from "../actor/fake-child.ts";

describe("a virtual clock", () => {
  test("stands still until it is advanced", async () => {
    using clock = virtualClock({ wallTime: new Date("1994-11-06T08:49:37Z") });
    const start = port.now();
    expect(port.now()).toBe(start);
    await clock.advance(75_000);
    expect(port.now() - start).toBe(75_000);
    expect(new Date(port.wallTime()).toISOString()).toBe("1994-11-06T08:50:52.000Z");
  });

  test("runs timers in the order in which they are due, each at its instant", async () => {
    using clock = virtualClock();
    const ran: [string, number][] = [];
    const start = port.now();
    const set = (name: string, ms: number) => port.setTimer(() => ran.push([name, port.now() - start]), ms);
    set("late", 300);
    set("first of two", 200);
    set("second of two", 200);
    set("early", 100);
    set("beyond", 1001);
    port.clearTimer(set("cleared", 150));
    await clock.advance(1000);
    expect(ran).toEqual([
      ["early", 100],
      ["first of two", 200],
      ["second of two", 200],
      ["late", 300],
    ]);
    expect(port.now() - start).toBe(1000);
  });

  test("lets promises and turns settle before the next timer runs", async () => {
    using clock = virtualClock();
    const ran: string[] = [];
    port.setTimer(async () => {
      await Promise.resolve();
      ran.push("promise");
      port.nextTurn(() => {
        ran.push("turn");
        port.nextTurn(() => void Promise.resolve().then(() => ran.push("turn after turn")));
      });
    }, 1);
    port.setTimer(() => ran.push("next timer"), 2);
    await clock.advance(2);
    expect(ran).toEqual(["promise", "turn", "turn after turn", "next timer"]);
  });

  test("runs what timers set on their way, a delay of 0 as one of 1 ms, as Node does", async () => {
    using clock = virtualClock();
    let ticks = 0;
    const tick = (): void => {
      ticks += 1;
      port.setTimer(tick, 0);
    };
    tick();
    await clock.advance(50);
    expect(ticks).toBe(51);
  });

  test("rejects with what a timer throws, and goes on from there", async () => {
    using clock = virtualClock();
    let ran = false;
    port.setTimer(() => {
      throw new Error("faulty");
    }, 10);
    port.setTimer(() => {
      ran = true;
    }, 20);
    await expect(clock.advance(100)).rejects.toThrow("faulty");
    expect(ran).toBe(false);
    await clock.advance(10);
    expect(ran).toBe(true);
  });

  test("tells which timers wait, and who has set them", () => {
    using clock = virtualClock();
    const start = clock.now();
    function keepAlive(): void {
      port.setTimer(() => {}, 75_000).unref();
    }
    keepAlive();
    port.setTimer(() => {}, 10);
    expect(clock.nextTimerAt).toBe(start + 10);
    expect(clock.pendingTimers).toEqual([
      { at: start + 10, isUnref: false, setBy: expect.stringContaining("virtual-clock.test.ts") },
      { at: start + 75_000, isUnref: true, setBy: expect.stringContaining("keepAlive") },
    ]);
  });

  test("runs one timer at a time", () => {
    using clock = virtualClock();
    const start = clock.now();
    const ran: number[] = [];
    for (const ms of [7, 5, 5]) port.setTimer(() => ran.push(port.now() - start), ms);
    expect(clock.runNext()).toBe(true);
    expect(ran).toEqual([5]);
    expect([clock.runNext(), clock.runNext(), clock.runNext()]).toEqual([true, true, false]);
    expect(ran).toEqual([5, 5, 7]);
    expect(clock.nextTimerAt).toBeUndefined();
  });

  test("runs until no timer waits, or says which never end", async () => {
    using clock = virtualClock();
    port.setTimer(() => void port.setTimer(() => {}, 2_000), 1_000);
    expect(await clock.runUntilIdle()).toBe(3_000);
    function beat(): void {
      port.setTimer(beat, 1_000);
    }
    beat();
    await expect(clock.runUntilIdle(10_000)).rejects.toThrow(/timers still wait after 10000 ms:\n.*beat/);
  });

  test("goes on until a promise settles, as it does", async () => {
    using clock = virtualClock();
    const start = clock.now();
    const after = (ms: number) => new Promise<number>((resolve) => port.setTimer(() => resolve(ms), ms));
    function beat(): void {
      port.setTimer(beat, 1_000);
    }
    beat();
    expect(await clock.until(after(7_500))).toBe(7_500);
    expect(clock.now() - start).toBe(7_500);
    await expect(clock.until(Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  });

  test("waits for what no timer ends", async () => {
    using clock = virtualClock();
    expect(await clock.until(new Promise((resolve) => setTimeout(resolve, 5, "real")))).toBe("real");
  });

  test("goes on while what goes by it is disposed of", async () => {
    using clock = virtualClock();
    const start = clock.now();
    {
      await using it = await supervisor({
        children: [new Nursery().spec("a", { deaf: true, shutdownMs: 20_000 })],
      });
      expect(it.alive).toBe(true);
    }
    expect(clock.now() - start).toBe(20_000);
  });

  test("is the only one in use, and gives way to the real one", async () => {
    const real = port.now();
    const clock = virtualClock();
    const fired = vi.fn();
    clock.setTimer(fired, 5);
    expect(() => virtualClock()).toThrow("another clock is in use");
    expect(() => useClock(clock)).toThrow("another clock is in use");
    clock[Symbol.dispose]();
    clock[Symbol.dispose]();
    expect(port.now()).toBeGreaterThanOrEqual(real);
    expect(clock.pendingTimers).toEqual([]);
    await new Promise<void>((resolve) => port.setTimer(resolve, 5));
    expect(fired).not.toHaveBeenCalled();
    virtualClock()[Symbol.dispose]();
  });

  test("clears a timer that was set before it was in use", async () => {
    const fired = vi.fn();
    const timer = port.setTimer(fired, 1);
    using clock = virtualClock();
    clock.clearTimer(timer);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(fired).not.toHaveBeenCalled();
  });

  test.each([
    ["advance", (clock: ReturnType<typeof virtualClock>) => clock.advance(-1), "at least 0, got -1"],
    ["advance", (clock: ReturnType<typeof virtualClock>) => clock.advance(Number.NaN), "got NaN"],
    ["advance", (clock: ReturnType<typeof virtualClock>) => clock.advance(Infinity), "got Infinity"],
    [
      "two at once",
      (clock: ReturnType<typeof virtualClock>) => Promise.all([clock.advance(1), clock.advance(1)]),
      "advanced already",
    ],
  ])("refuses %s", async (_what, run, message) => {
    using clock = virtualClock();
    await expect(run(clock)).rejects.toThrow(message);
  });

  test("refuses what is no time of day, and leaves the real clock in use", () => {
    expect(() => virtualClock({ wallTime: new Date("no date") })).toThrow("wallTime must be");
    virtualClock()[Symbol.dispose]();
  });
});

describe("actors on virtual time", () => {
  const silent = () => start<undefined, unknown>({ init: () => undefined, loop: () => {} });

  test("a call times out when its time has passed, and no sooner", async () => {
    using clock = virtualClock();
    await using actor = await silent();
    const settled = vi.fn();
    const answer = call(actor.subject, (reply) => reply, 5_000);
    answer.catch(settled);
    expect(clock.pendingTimers).toMatchObject([{ setBy: expect.stringContaining("call.ts") }]);
    await clock.advance(4_999);
    expect(settled).not.toHaveBeenCalled();
    await clock.advance(1);
    await expect(answer).rejects.toMatchObject({ reason: "timeout" });
    expect(clock.pendingTimers).toEqual([]);
  });

  test("a receive times out", async () => {
    using clock = virtualClock();
    const answer = subject<string>().receive({ timeout: 60_000 });
    answer.catch(() => {});
    await clock.advance(60_000);
    await expect(answer).rejects.toMatchObject({ reason: "timeout" });
  });

  test("an init that takes too long is given up", async () => {
    using clock = virtualClock();
    const starting = start({
      init: () => new Promise<never>(() => {}),
      loop: () => {},
      initTimeoutMs: 30_000,
    });
    starting.catch(() => {});
    await clock.advance(30_000);
    await expect(starting).rejects.toMatchObject({ reason: "init-timeout" });
  });

  test.each([
    ["passes", 5_001, "running"],
    ["does not pass", 4_999, "gave up"],
  ])("a supervisor whose intensity window %s between two crashes", async (_what, ms, expected) => {
    using clock = virtualClock();
    const nursery = new Nursery();
    const it = await supervisor({
      children: [nursery.spec("a")],
      intensity: { restarts: 1, withinMs: 5_000 },
    });
    nursery.child("a").crash();
    await clock.advance(ms);
    nursery.child("a").crash();
    await clock.settle();
    expect(it.alive ? "running" : "gave up").toBe(expected);
    it.kill();
  });

  test("a child that does not stop is killed at the stop deadline", async () => {
    using clock = virtualClock();
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a", { deaf: true, shutdownMs: 20_000 })] });
    const stopped = it.stop(120_000);
    await clock.advance(19_999);
    expect(it.alive).toBe(true);
    await clock.advance(1);
    expect(await stopped).toEqual({ type: "shutdown" });
    expect(clock.pendingTimers).toEqual([]);
  });
});
