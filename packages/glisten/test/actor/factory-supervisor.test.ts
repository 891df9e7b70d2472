import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FactoryEvent,
  type FactorySupervisor,
  factorySupervisor,
  factorySupervisorSpec,
  type LightChild,
  type Restart,
  supervisor,
} from "../../src/actor/index.ts";
import { virtualClock } from "../../src/testing/index.ts";
import { FakeChild, rest } from "./fake-child.ts";

/** A light child that ends when asked, later, or not at all. */
class Light implements LightChild {
  readonly said: string[] = [];
  readonly factory: FactorySupervisor<never>;
  readonly when: "asked" | "killed";

  constructor(factory: FactorySupervisor<never>, when: "asked" | "killed" = "asked") {
    this.factory = factory;
    this.when = when;
  }
  shutdown(deadlineMs: number): void {
    this.said.push(`shutdown ${deadlineMs}`);
    if (this.when === "asked") this.factory.childExited(this);
  }
  kill(): void {
    this.said.push("kill");
    this.factory.childExited(this);
  }
}

describe("adopted children", () => {
  it("are counted until they have ended", () => {
    const it = factorySupervisor<never>();
    const [a, b] = [new Light(it), new Light(it)];
    expect(it.adopt(a)).toBe(true);
    expect(it.adopt(b)).toBe(true);
    expect(it.count).toBe(2);
    expect([...it.adopted()]).toEqual([a, b]);
    it.childExited(a);
    it.childExited(a);
    expect(it.count).toBe(1);
    expect(it.alive).toBe(true);
    it.kill();
  });

  it("are asked at once; those that do not end are killed at the deadline; the report tells", async () => {
    const it = factorySupervisor<never>();
    const [good, deaf, late] = [new Light(it), new Light(it, "killed"), new Light(it, "killed")];
    for (const child of [good, deaf, late]) it.adopt(child);
    const stopped = it.stop({ deadlineMs: 10 });
    expect([good.said, deaf.said, late.said]).toEqual(Array(3).fill(["shutdown 10"]));
    expect(it.open).toBe(false);
    expect(it.adopt(new Light(it))).toBe(false);
    it.childExited(late);
    expect(await stopped).toEqual({ type: "shutdown", drained: 2, killed: 1 });
    expect(deaf.said).toEqual(["shutdown 10", "kill"]);
    expect(await it.stop()).toEqual({ type: "shutdown", drained: 2, killed: 1 });
    expect(await it.exited).toEqual({ type: "shutdown", drained: 2, killed: 1 });
  });

  it("kill ends all of them now", async () => {
    const it = factorySupervisor<never>();
    const children = [new Light(it), new Light(it, "killed")];
    for (const child of children) it.adopt(child);
    it.kill();
    expect(children.map(({ said }) => said)).toEqual([["kill"], ["kill"]]);
    expect(await it.exited).toEqual({ type: "killed", drained: 0, killed: 2 });
  });

  it("kill overtakes a stop", async () => {
    const it = factorySupervisor<never>();
    const [good, deaf] = [new Light(it), new Light(it, "killed")];
    it.adopt(good);
    it.adopt(deaf);
    const stopped = it.stop({ deadlineMs: Number.POSITIVE_INFINITY });
    it.kill();
    expect(await stopped).toEqual({ type: "killed", drained: 1, killed: 1 });
  });

  it("a second stop can only shorten the deadline", async () => {
    const it = factorySupervisor<never>({ shutdownMs: 60_000 });
    it.adopt(new Light(it, "killed"));
    const first = it.stop({ deadlineMs: Number.POSITIVE_INFINITY });
    void it.stop(120_000);
    void it.stop();
    expect(await it.stop(0)).toEqual({ type: "shutdown", drained: 0, killed: 1 });
    await first;
  });

  it.each([[0], ["brutal-kill" as const]])("with %s milliseconds are not asked", async (shutdownMs) => {
    const it = factorySupervisor<never>({ shutdownMs });
    const child = new Light(it);
    it.adopt(child);
    expect(await it.stop()).toEqual({ type: "shutdown", drained: 0, killed: 1 });
    expect(child.said).toEqual(["kill"]);
  });

  it("are told Infinity when there is no deadline", async () => {
    const it = factorySupervisor<never>({ shutdownMs: "infinity" });
    const child = new Light(it);
    it.adopt(child);
    expect(await it.stop()).toEqual({ type: "shutdown", drained: 1, killed: 0 });
    expect(child.said).toEqual(["shutdown Infinity"]);
  });

  it("without children stop is done at once", async () => {
    expect(await factorySupervisor().stop()).toEqual({ type: "shutdown", drained: 0, killed: 0 });
  });

  it("come and go by the ten thousand", async () => {
    const it = factorySupervisor<never>();
    const window: Light[] = [];
    for (let i = 0; i < 50_000; i += 1) {
      const child = new Light(it);
      it.adopt(child);
      window.push(child);
      if (window.length > 1000) it.childExited(window.shift() as Light);
    }
    expect(it.count).toBe(1000);
    expect(await it.stop()).toMatchObject({ drained: 1000, killed: 0 });
  });

  it("drained and killed add up, whatever the order of events", async () => {
    const child = fc.constantFrom("asked" as const, "killed" as const);
    const order = fc.array(fc.tuple(child, fc.boolean()), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(order, async (children) => {
        const it = factorySupervisor<never>();
        const all = children.map(([when]) => new Light(it, when));
        for (const one of all) it.adopt(one);
        children.forEach(([, early], index) => {
          if (early) it.childExited(all[index] as Light);
        });
        const atStop = children.filter(([, early]) => !early);
        const stopped = it.stop({ deadlineMs: 60_000 });
        void it.stop(0);
        const killed = atStop.filter(([when]) => when === "killed").length;
        expect(await stopped).toEqual({ type: "shutdown", drained: atStop.length - killed, killed });
      }),
    );
  });
});

describe("started children", () => {
  const boom = new Error("boom");

  function factoryOf(restart: Restart | undefined, restarts = 2) {
    const log: string[] = [];
    const latest = new Map<string, FakeChild>();
    const events: FactoryEvent<string>[] = [];
    const broken = new Set<string>();
    const it = factorySupervisor<string, FakeChild>({
      start: async (id) => {
        if (broken.has(id)) throw boom;
        const child = new FakeChild(id, log);
        latest.set(id, child);
        log.push(`start ${id}`);
        return child;
      },
      restart,
      intensity: { restarts, withinMs: 60_000 },
      onEvent: (event) => events.push(event),
    });
    return { it, log, latest, events, broken };
  }

  it("are counted and listed, and gone when they have ended", async () => {
    const { it, latest, events } = factoryOf(undefined);
    const a = await it.startChild("a");
    const b = await it.startChild("b");
    expect(it.children()).toEqual([a, b]);
    latest.get("a")?.crash();
    await rest();
    expect(it.count).toBe(1);
    expect(events).toMatchObject([{ type: "child-exited", argument: "a", reason: { type: "abnormal" } }]);
    expect(await it.stop()).toEqual({ type: "shutdown", drained: 1, killed: 0 });
    await expect(it.startChild("c")).rejects.toMatchObject({ name: "FactoryClosedError" });
  });

  it.each<[Restart | undefined, "normal" | "killed", boolean]>([
    [undefined, "killed", false],
    ["temporary", "killed", false],
    ["transient", "normal", false],
    ["transient", "killed", true],
    ["permanent", "normal", true],
  ])("%s, %s: restarted %s", async (restart, type, restarted) => {
    const { it, log, latest } = factoryOf(restart);
    await it.startChild("a");
    latest.get("a")?.exit({ type });
    await rest();
    expect(log).toEqual(restarted ? ["start a", "start a"] : ["start a"]);
    expect(it.count).toBe(restarted ? 1 : 0);
    it.kill();
  });

  it("a start that fails is the caller's to know, and counts for nothing", async () => {
    const { it, broken } = factoryOf("permanent", 0);
    broken.add("a");
    await expect(it.startChild("a")).rejects.toBe(boom);
    expect(it.count).toBe(0);
    expect(it.alive).toBe(true);
    it.kill();
  });

  it("restarted too often, failing starts included, end the factory", async () => {
    const { it, log, latest, broken, events } = factoryOf("permanent", 3);
    await it.startChild("a");
    await it.startChild("b");
    latest.get("a")?.crash();
    await rest();
    broken.add("a");
    latest.get("a")?.crash();
    expect(await it.exited).toMatchObject({
      type: "abnormal",
      error: { name: "RestartIntensityError", restarts: 3, cause: boom },
      drained: 1,
      killed: 0,
    });
    expect(log).toEqual(["start a", "start b", "start a", "stop b"]);
    expect(events.map(({ type }) => type)).toEqual([
      "child-exited",
      "child-exited",
      "child-start-failed",
      "child-start-failed",
      "gave-up",
      "child-exited",
    ]);
  });

  it("that arrive after stop are killed, and the start rejects", async () => {
    const log: string[] = [];
    let arrive!: (child: FakeChild) => void;
    let signal: AbortSignal | undefined;
    const it = factorySupervisor({
      start: (_id: string, given) => {
        signal = given;
        return new Promise<FakeChild>((resolve) => {
          arrive = resolve;
        });
      },
    });
    const starting = it.startChild("a");
    await it.stop();
    expect(signal?.aborted).toBe(true);
    arrive(new FakeChild("a", log));
    await expect(starting).rejects.toMatchObject({ name: "FactoryClosedError" });
    expect(log).toEqual(["kill a"]);
  });

  it("whose stop fails are killed", async () => {
    const { it, log, latest } = factoryOf(undefined);
    await it.startChild("a");
    await it.startChild("b");
    (latest.get("a") as FakeChild).stop = () => Promise.reject(boom);
    (latest.get("b") as FakeChild).stop = () => {
      throw boom;
    };
    await it.stop({ deadlineMs: 60_000 });
    expect(log).toEqual(["start a", "start b", "kill b", "kill a"]);
  });
});

describe("in a tree", () => {
  it("a factory drains within the tree's deadline", async () => {
    using clock = virtualClock();
    const spec = factorySupervisorSpec<never>("connections");
    const tree = await supervisor({ strategy: "rest-for-one", children: [spec] });
    const factory = tree.which<FactorySupervisor<never>>("connections") as FactorySupervisor<never>;
    const [good, deaf] = [new Light(factory), new Light(factory, "killed")];
    factory.adopt(good);
    factory.adopt(deaf);
    const stopped = tree.stop(20);
    await rest();
    expect([good.said, deaf.said]).toEqual(Array(2).fill(["shutdown 20"]));
    await clock.advance(20);
    expect(await stopped).toEqual({ type: "shutdown" });
    expect(await factory.exited).toMatchObject({ drained: 1, killed: 1 });
    expect(good.said).toHaveLength(1);
    expect(deaf.said).toEqual(["shutdown 20", "kill"]);
  });
});
