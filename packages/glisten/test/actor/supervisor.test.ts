import { describe, expect, it } from "vitest";
import {
  type ActorRef,
  type ExitReason,
  type Restart,
  RestartIntensityError,
  type Strategy,
  type SupervisorEvent,
  SupervisorStartError,
  start,
  stopAbnormal,
  supervisor,
  supervisorSpec,
} from "../../src/actor/index.ts";
import { type FakeChild, Nursery, rest } from "./fake-child.ts";

const lenient = { restarts: 100, withinMs: 60_000 };

describe("start", () => {
  it("starts the children in order", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: ["a", "b", "c"].map((id) => nursery.spec(id)) });
    expect(nursery.news()).toEqual(["start a", "start b", "start c"]);
    expect(it.children().map(({ id, state, type, restart }) => [id, state, type, restart])).toEqual([
      ["a", "running", "worker", "permanent"],
      ["b", "running", "worker", "permanent"],
      ["c", "running", "worker", "permanent"],
    ]);
    expect(it.which("b")).toBe(nursery.child("b"));
    expect(it.which("z")).toBeUndefined();
    it.kill();
  });

  it("that fails ends those which have started, in reverse, and names the child", async () => {
    const nursery = new Nursery();
    nursery.mayStart = (id) => id !== "c";
    const starting = supervisor({ children: ["a", "b", "c", "d"].map((id) => nursery.spec(id)) });
    await expect(starting).rejects.toMatchObject({
      name: "SupervisorStartError",
      reason: "child-failed",
      childId: "c",
      message: "child c did not start: c does not start",
    });
    expect(nursery.news()).toEqual(["start a", "start b", "fail c", "stop b", "stop a"]);
  });

  it("fails when a start returns something other than a child", async () => {
    const start = async () => ({}) as FakeChild;
    await expect(supervisor({ children: [{ id: "a", start }] })).rejects.toThrow(SupervisorStartError);
  });

  it("remembers a child that dies while the others start", async () => {
    const nursery = new Nursery();
    const it = await supervisor({
      children: [
        nursery.spec("a"),
        {
          id: "b",
          start: async () => {
            nursery.child("a").crash();
            await rest(2);
            return nursery.spec("b").start(new AbortController().signal);
          },
        },
      ],
    });
    await rest();
    expect(nursery.news()).toEqual(["start a", "start b", "start a"]);
    it.kill();
  });

  it.each([
    ["an id twice", { children: [new Nursery().spec("a"), new Nursery().spec("a")] }],
    ["an empty id", { children: [new Nursery().spec("")] }],
    ["an unknown strategy", { strategy: "all" as Strategy, children: [] }],
    ["an unknown restart", { children: [new Nursery().spec("a", { restart: "always" as Restart })] }],
    ["a negative shutdown", { children: [new Nursery().spec("a", { shutdownMs: -1 })] }],
    ["a negative intensity", { children: [], intensity: { restarts: -1 } }],
    ["an empty window", { children: [], intensity: { withinMs: 0 } }],
  ])("refuses %s", async (_name, options) => {
    await expect(supervisor(options)).rejects.toThrow(/must|two children/);
  });
});

describe("a child's end", () => {
  const reasons: Record<string, ExitReason> = {
    normal: { type: "normal" },
    shutdown: { type: "shutdown" },
    killed: { type: "killed" },
    abnormal: { type: "abnormal", error: "x" },
  };

  it.each<[Restart | undefined, string, boolean]>([
    [undefined, "normal", true],
    ["permanent", "normal", true],
    ["permanent", "shutdown", true],
    ["permanent", "killed", true],
    ["permanent", "abnormal", true],
    ["transient", "normal", false],
    ["transient", "shutdown", false],
    ["transient", "killed", true],
    ["transient", "abnormal", true],
    ["temporary", "normal", false],
    ["temporary", "shutdown", false],
    ["temporary", "killed", false],
    ["temporary", "abnormal", false],
  ])("%s, %s: restarted %s", async (restart, reason, restarted) => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a", { restart })] });
    nursery.child("a").exit(reasons[reason] as ExitReason);
    await rest();
    expect(nursery.news()).toEqual(restarted ? ["start a", "start a"] : ["start a"]);
    const left = restart === "temporary" ? [] : [restarted ? "running" : "stopped"];
    expect(it.children().map(({ state }) => state)).toEqual(left);
    it.kill();
  });
});

describe("a strategy", () => {
  it.each<[Strategy | undefined, string[]]>([
    [undefined, ["start b"]],
    ["one-for-one", ["start b"]],
    ["rest-for-one", ["stop d", "stop c", "start b", "start c", "start d"]],
    ["one-for-all", ["stop d", "stop c", "stop a", "start a", "start b", "start c", "start d"]],
  ])("%s", async (strategy, wanted) => {
    const nursery = new Nursery();
    const children = ["a", "b", "c", "d"].map((id) => nursery.spec(id));
    const it = await supervisor({ strategy, children });
    nursery.news();
    nursery.child("b").crash();
    await rest();
    expect(nursery.news()).toEqual(wanted);
    expect(it.alive).toBe(true);
    it.kill();
  });

  it.each<[Strategy, string[]]>([
    ["rest-for-one", ["stop d", "stop c", "start b", "fail c", "start c", "start d"]],
    [
      "one-for-all",
      ["stop d", "stop c", "stop a", "start a", "start b", "fail c"].concat([
        "stop b",
        "stop a",
        "start a",
        "start b",
        "start c",
        "start d",
      ]),
    ],
  ])("%s: a restart that fails on the way goes on from there", async (strategy, wanted) => {
    const nursery = new Nursery();
    const children = ["a", "b", "c", "d"].map((id) => nursery.spec(id));
    const it = await supervisor({ strategy, children, intensity: lenient });
    nursery.news();
    let failures = 1;
    nursery.mayStart = (id) => id !== "c" || failures-- <= 0;
    nursery.child("b").crash();
    await rest();
    expect(nursery.news()).toEqual(wanted);
    it.kill();
  });

  it.each<Strategy>(["rest-for-one", "one-for-all"])(
    "%s: a temporary sibling is ended and forgotten, a transient one that had ended starts again",
    async (strategy) => {
      const nursery = new Nursery();
      const children = [
        nursery.spec("a"),
        nursery.spec("b", { restart: "temporary" }),
        nursery.spec("c", { restart: "transient" }),
      ];
      const it = await supervisor({ strategy, children });
      nursery.child("c").exit({ type: "normal" });
      await rest();
      nursery.news();
      nursery.child("a").crash();
      await rest();
      expect(nursery.news()).toEqual(["stop b", "start a", "start c"]);
      expect(it.children().map(({ id }) => id)).toEqual(["a", "c"]);
      it.kill();
    },
  );

  it("two failures at once count once when the second child has been replaced already", async () => {
    const nursery = new Nursery();
    const children = ["a", "b"].map((id) => nursery.spec(id));
    const it = await supervisor({ strategy: "one-for-all", children, intensity: { restarts: 1 } });
    nursery.news();
    nursery.child("a").crash();
    nursery.child("b").crash();
    await rest();
    expect(nursery.news()).toEqual(["start a", "start b"]);
    expect(it.alive).toBe(true);
    it.kill();
  });
});

describe("restart intensity", () => {
  it.each([0, 1, 3])(
    "after %i restarts the next failure ends the supervisor, abnormally",
    async (restarts) => {
      const nursery = new Nursery();
      const events: SupervisorEvent[] = [];
      const it = await supervisor({
        children: ["a", "b", "c"].map((id) => nursery.spec(id)),
        intensity: { restarts, withinMs: 60_000 },
        onEvent: (event) => events.push(event),
      });
      nursery.news();
      for (let i = 0; i < restarts; i += 1) {
        nursery.child("b").crash();
        await rest();
      }
      expect(nursery.news()).toEqual(Array(restarts).fill("start b"));
      expect(it.alive).toBe(true);
      nursery.child("b").crash();
      const reason = await it.exited;
      expect(nursery.news()).toEqual(["stop c", "stop a"]);
      expect(reason).toMatchObject({
        type: "abnormal",
        error: { name: "RestartIntensityError", childId: "b", restarts, cause: new Error("b crashed") },
      });
      expect(events.at(-1)?.type).toBe("child-stopped");
      expect(events.filter(({ type }) => type === "gave-up")).toHaveLength(1);
      expect(it.alive).toBe(false);
    },
  );

  it("counts starts that fail", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a")], intensity: { restarts: 3 } });
    nursery.news();
    nursery.mayStart = () => false;
    nursery.child("a").crash();
    const reason = await it.exited;
    expect(nursery.news()).toEqual(["fail a", "fail a", "fail a"]);
    expect(reason).toMatchObject({ error: { cause: new Error("a does not start") } });
  });

  it("forgets restarts that are long ago", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a")], intensity: { restarts: 1, withinMs: 1 } });
    for (let i = 0; i < 5; i += 1) {
      nursery.child("a").crash();
      await rest();
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    expect(it.alive).toBe(true);
    it.kill();
  });

  it("a nested supervisor that gives up is a failed child of its own supervisor", async () => {
    const nursery = new Nursery();
    const inner = supervisorSpec("inner", {
      children: [nursery.spec("a"), nursery.spec("b")],
      intensity: { restarts: 0 },
    });
    const it = await supervisor({
      strategy: "rest-for-one",
      children: [nursery.spec("before"), inner, nursery.spec("after")],
      intensity: { restarts: 1 },
    });
    nursery.news();
    nursery.child("a").crash();
    await rest(30);
    expect(nursery.news()).toEqual(["stop b", "stop after", "start a", "start b", "start after"]);
    nursery.child("b").crash();
    const reason = await it.exited;
    expect(nursery.news()).toEqual(["stop a", "stop after", "stop before"]);
    expect(reason).toMatchObject({
      error: { childId: "inner", cause: { name: "RestartIntensityError", childId: "b" } },
    });
    expect(reason.type === "abnormal" && reason.error).toBeInstanceOf(RestartIntensityError);
  });
});

describe("stop", () => {
  it("ends the children in reverse order, each within its own time", async () => {
    const nursery = new Nursery();
    const it = await supervisor({
      children: [
        nursery.spec("a"),
        nursery.spec("b", { shutdownMs: 70 }),
        nursery.spec("c", { shutdownMs: "brutal-kill" }),
        nursery.spec("d", { shutdownMs: "infinity" }),
        nursery.spec("e", { type: "supervisor" }),
      ],
    });
    nursery.news();
    expect(await it.stop()).toEqual({ type: "shutdown" });
    expect(nursery.news()).toEqual(["stop e", "stop d", "kill c", "stop b", "stop a"]);
    const { POSITIVE_INFINITY } = Number;
    const limits = ["a", "b", "c", "d", "e"].map((id) => nursery.child(id).deadlineMs);
    expect(limits).toEqual([5000, 70, undefined, POSITIVE_INFINITY, POSITIVE_INFINITY]);
    expect(await it.stop()).toEqual({ type: "shutdown" });
  });

  it("waits for one child before it asks the next", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a"), nursery.spec("b", { deaf: true })] });
    nursery.news();
    const stopped = it.stop();
    await rest();
    expect(nursery.news()).toEqual(["stop b"]);
    nursery.child("b").exit({ type: "normal" });
    await stopped;
    expect(nursery.news()).toEqual(["stop a"]);
  });

  it("kills a child that does not stop in its time", async () => {
    const nursery = new Nursery();
    const events: SupervisorEvent[] = [];
    const it = await supervisor({
      children: [nursery.spec("a"), nursery.spec("b", { deaf: true, shutdownMs: 5 })],
      onEvent: (event) => events.push(event),
    });
    nursery.news();
    await it.stop();
    expect(nursery.news()).toEqual(["stop b", "kill b", "stop a"]);
    expect(events.filter(({ type }) => type === "child-stopped")).toMatchObject([
      { id: "b", killed: true },
      { id: "a", killed: false },
    ]);
  });

  it("asks a supervisor that is late once more, with no time left, before it kills it", async () => {
    const nursery = new Nursery();
    const it = await supervisor({
      children: [nursery.spec("a", { deaf: true, shutdownMs: 5, type: "supervisor" })],
    });
    const a = nursery.child("a");
    const stop = a.stop.bind(a);
    a.stop = (deadlineMs) => {
      const stopped = stop(deadlineMs);
      if (deadlineMs === 0) a.exit({ type: "shutdown" });
      return stopped;
    };
    nursery.news();
    await it.stop();
    expect(nursery.news()).toEqual(["stop a", "stop a"]);
  });

  it("kills a supervisor that does not stop even then", async () => {
    const nursery = new Nursery();
    const it = await supervisor({
      children: [nursery.spec("a", { deaf: true, shutdownMs: 5, type: "supervisor" })],
    });
    nursery.news();
    await it.stop();
    expect(nursery.news()).toEqual(["stop a", "stop a", "kill a"]);
  });

  it("kills the rest when its own deadline passes, and tells children of it", async () => {
    const stopOne = async (): Promise<void> => {
      const nursery = new Nursery();
      const it = await supervisor({
        children: [nursery.spec("a"), nursery.spec("b", { deaf: true, shutdownMs: "infinity" })],
      });
      nursery.news();
      expect(await it.stop(10)).toEqual({ type: "shutdown" });
      expect(nursery.news()).toEqual(["stop b", "kill b", "kill a"]);
      expect(nursery.child("b").deadlineMs).toBeLessThanOrEqual(10);
    };
    // The limit of "b" is the same moment as the common one, which must never be judged by another clock.
    for (let turn = 0; turn < 10; turn += 1) await Promise.all(Array.from({ length: 20 }, stopOne));
  });

  it.each(["running", "being stopped"])(
    "kill tells that it has ended when every child has, also one %s",
    async (state) => {
      const nursery = new Nursery();
      const it = await supervisor({
        children: [nursery.spec("a"), nursery.spec("b", { deaf: true, shutdownMs: "infinity" })],
      });
      if (state === "being stopped") {
        void it.stop();
        await rest();
      }
      const alive: string[] = [];
      it.monitor(() =>
        alive.push(...[...nursery.latest.values()].filter((child) => child.alive).map(({ id }) => id)),
      );
      it.kill();
      expect((await it.exited).type).toBe("killed");
      expect(alive).toEqual([]);
    },
  );

  it("a second stop can only shorten the deadline", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a", { deaf: true, shutdownMs: "infinity" })] });
    const first = it.stop(60_000);
    void it.stop();
    expect(await it.stop(0)).toEqual({ type: "shutdown" });
    await first;
    expect(nursery.news()).toEqual(["start a", "stop a", "kill a"]);
  });

  it.each<[string, (child: FakeChild) => void]>([
    [
      "throws",
      (child) => {
        child.stop = () => {
          throw new Error("no");
        };
      },
    ],
    [
      "rejects",
      (child) => {
        child.stop = () => Promise.reject(new Error("no"));
      },
    ],
  ])("kills a child whose stop %s", async (_name, spoil) => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a")] });
    spoil(nursery.child("a"));
    await it.stop();
    expect(nursery.news()).toEqual(["start a", "kill a"]);
  });

  it("during a restart ends the child that is being started, when it arrives", async () => {
    const nursery = new Nursery();
    let arrive: (() => void) | undefined;
    let starts = 0;
    const it = await supervisor({
      children: [
        nursery.spec("a"),
        {
          id: "slow",
          start: async (signal) => {
            starts += 1;
            if (starts > 1)
              await new Promise<void>((resolve) => {
                arrive = resolve;
              });
            return nursery.spec("slow").start(signal);
          },
        },
      ],
    });
    nursery.child("slow").crash();
    await rest();
    const stopped = it.stop();
    await rest();
    nursery.news();
    arrive?.();
    expect(await stopped).toEqual({ type: "shutdown" });
    expect(nursery.news()).toEqual(["start slow", "stop slow", "stop a"]);
  });

  it("during a restart that never ends goes on after the child's shutdown time; a late child is killed", async () => {
    const nursery = new Nursery();
    let arrive: (() => void) | undefined;
    let aborted = false;
    let starts = 0;
    const it = await supervisor({
      children: [
        {
          id: "slow",
          shutdownMs: 5,
          start: async (signal) => {
            starts += 1;
            signal.addEventListener("abort", () => {
              aborted = true;
            });
            if (starts > 1)
              await new Promise<void>((resolve) => {
                arrive = resolve;
              });
            return nursery.spec("slow").start(signal);
          },
        },
      ],
    });
    nursery.child("slow").crash();
    await rest();
    nursery.news();
    expect(await it.stop()).toEqual({ type: "shutdown" });
    expect(aborted).toBe(true);
    arrive?.();
    await rest();
    expect(nursery.news()).toEqual(["start slow", "kill slow"]);
  });

  it("between failing restarts ends them", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: [nursery.spec("a")], intensity: { restarts: Infinity } });
    nursery.mayStart = () => false;
    nursery.child("a").crash();
    await rest();
    expect(await it.stop()).toEqual({ type: "shutdown" });
    nursery.news();
    await rest();
    expect(nursery.news()).toEqual([]);
  });

  it("while it gives up does not change the reason, but can hurry it", async () => {
    const nursery = new Nursery();
    const it = await supervisor({
      children: [nursery.spec("a"), nursery.spec("b", { deaf: true, shutdownMs: "infinity" })],
      intensity: { restarts: 0 },
    });
    nursery.child("a").crash();
    await rest();
    expect(await it.stop(0)).toMatchObject({ type: "abnormal", error: { childId: "a" } });
  });

  it("by signal, while starting: rejects, and ends those that had started", async () => {
    const nursery = new Nursery();
    const controller = new AbortController();
    const starting = supervisor({
      signal: controller.signal,
      children: [
        nursery.spec("a"),
        {
          id: "slow",
          start: (signal) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(new Error("gave up")));
            }),
        },
        nursery.spec("c"),
      ],
    });
    await rest();
    controller.abort();
    await expect(starting).rejects.toMatchObject({ reason: "aborted" });
    expect(nursery.news()).toEqual(["start a", "stop a"]);
  });

  it("by signal, while a nested one is starting: both end what they had started", async () => {
    const nursery = new Nursery();
    const controller = new AbortController();
    const inner = supervisorSpec("inner", {
      children: [
        nursery.spec("b"),
        {
          id: "slow",
          start: (signal) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(new Error("gave up")));
            }),
        },
      ],
    });
    const starting = supervisor({ signal: controller.signal, children: [nursery.spec("a"), inner] });
    await rest();
    controller.abort();
    await expect(starting).rejects.toMatchObject({ reason: "aborted" });
    expect(nursery.news()).toEqual(["start a", "start b", "stop b", "stop a"]);
  });

  it("by signal: already aborted, and later", async () => {
    const nursery = new Nursery();
    const children = [nursery.spec("a")];
    await expect(supervisor({ children, signal: AbortSignal.abort() })).rejects.toMatchObject({
      reason: "aborted",
    });
    expect(nursery.news()).toEqual([]);
    const controller = new AbortController();
    const it = await supervisor({ children, signal: controller.signal });
    controller.abort();
    expect(await it.exited).toEqual({ type: "shutdown" });
    expect(nursery.news()).toEqual(["start a", "stop a"]);
  });

  it("of an outer supervisor reaches a nested one only when its turn has come", async () => {
    const nursery = new Nursery();
    const inner = supervisorSpec("inner", { children: [nursery.spec("a"), nursery.spec("b")] });
    const it = await supervisor({ children: [inner, nursery.spec("last", { deaf: true })] });
    nursery.news();
    const stopped = it.stop();
    await rest();
    expect(nursery.news()).toEqual(["stop last"]);
    nursery.child("last").exit({ type: "normal" });
    await stopped;
    expect(nursery.news()).toEqual(["stop b", "stop a"]);
  });

  it("await using stops it", async () => {
    const nursery = new Nursery();
    {
      await using _it = await supervisor({ children: [nursery.spec("a")] });
    }
    expect(nursery.news()).toEqual(["start a", "stop a"]);
  });
});

describe("kill", () => {
  it("kills all at once", async () => {
    const nursery = new Nursery();
    const it = await supervisor({ children: ["a", "b"].map((id) => nursery.spec(id, { deaf: true })) });
    nursery.news();
    const downs: string[] = [];
    it.monitor((down) => downs.push(down.reason.type));
    it.kill();
    it.kill();
    expect(nursery.news()).toEqual(["kill b", "kill a"]);
    expect(await it.exited).toEqual({ type: "killed" });
    expect(downs).toEqual(["killed"]);
  });

  it("overtakes a stop that is under way", async () => {
    const nursery = new Nursery();
    const children = ["a", "b"].map((id) => nursery.spec(id, { deaf: true, shutdownMs: "infinity" }));
    const it = await supervisor({ children });
    const stopped = it.stop();
    it.kill();
    expect(await stopped).toEqual({ type: "killed" });
    await rest();
    expect(nursery.child("a").alive || nursery.child("b").alive).toBe(false);
  });
});

describe("with real actors", () => {
  it("restarts one that crashed, with a new address", async () => {
    const spec = {
      id: "worker",
      start: () => start({ init: () => 0, loop: (_state: number, message: string) => stopAbnormal(message) }),
    };
    const events: SupervisorEvent[] = [];
    const restarted = new Promise<void>((resolve) => {
      void supervisor({
        children: [spec],
        onEvent: (event) => {
          events.push(event);
          if (events.filter(({ type }) => type === "child-started").length === 2) resolve();
        },
      }).then((it) => it.which<ActorRef<string>>("worker")?.subject.send("boom"));
    });
    await restarted;
    expect(events.map(({ type }) => type)).toEqual(["child-started", "child-exited", "child-started"]);
    expect(events[1]).toMatchObject({ reason: { type: "abnormal", error: "boom" } });
  });
});
