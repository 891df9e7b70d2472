import fc from "fast-check";
import { expect, it } from "vitest";
import { type ExitReason, type Restart, type Strategy, supervisor } from "../../src/actor/index.ts";
import { Nursery, rest } from "./fake-child.ts";

/** One child as OTP's supervisor sees it. `dead`: it has ended, the supervisor has not looked yet. */
type Entry = {
  readonly id: string;
  readonly restart: Restart;
  state: "running" | "dead" | "stopped" | "restarting";
  incarnation: number;
};

type Incident =
  | {
      readonly type: "exit";
      readonly entry: Entry;
      readonly incarnation: number;
      readonly reason: ExitReason;
    }
  | { readonly type: "retry"; readonly entry: Entry };

/** The semantics of a static supervisor, with instantaneous children. */
class Model {
  readonly log: string[] = [];
  readonly strategy: Strategy;
  readonly maxRestarts: number;
  readonly mayStart: () => boolean;
  entries: Entry[];
  alive = true;
  #restarts = 0;
  #incidents: Incident[] = [];

  constructor(
    strategy: Strategy,
    maxRestarts: number,
    mayStart: () => boolean,
    children: readonly (readonly [string, Restart])[],
  ) {
    this.strategy = strategy;
    this.maxRestarts = maxRestarts;
    this.mayStart = mayStart;
    this.entries = children.map(([id, restart]) => ({ id, restart, state: "stopped", incarnation: 0 }));
    for (const entry of this.entries) {
      this.log.push(`start ${entry.id}`);
      entry.state = "running";
    }
  }

  exit(id: string, reason: ExitReason): void {
    const entry = this.entries.find((one) => one.id === id);
    if (entry?.state !== "running") return;
    entry.state = "dead";
    this.#incidents.push({ type: "exit", entry, incarnation: entry.incarnation, reason });
  }

  settle(): void {
    for (let one = this.#incidents.shift(); one !== undefined && this.alive; one = this.#incidents.shift()) {
      if (one.type === "retry") {
        if (one.entry.state === "restarting") this.#restart(one.entry);
      } else if (one.entry.state === "dead" && one.entry.incarnation === one.incarnation) {
        this.#exited(one.entry, one.reason);
      }
    }
  }

  #exited(entry: Entry, { type }: ExitReason): void {
    const failed = type === "abnormal" || type === "killed";
    entry.state = "stopped";
    if (entry.restart === "permanent" || (entry.restart === "transient" && failed)) {
      entry.state = "restarting";
      this.#restart(entry);
    } else if (entry.restart === "temporary") {
      this.entries = this.entries.filter((one) => one !== entry);
    }
  }

  #restart(entry: Entry): void {
    this.#restarts += 1;
    if (this.#restarts > this.maxRestarts) {
      this.stop(this.entries);
      this.alive = false;
      return;
    }
    const from = this.entries.indexOf(entry);
    const affected =
      this.strategy === "one-for-one"
        ? [entry]
        : this.strategy === "rest-for-one"
          ? this.entries.slice(from)
          : [...this.entries];
    this.stop(affected);
    for (const one of affected) {
      if (!this.entries.includes(one)) continue;
      one.incarnation += 1;
      if (!this.mayStart()) {
        this.log.push(`fail ${one.id}`);
        one.state = "restarting";
        this.#incidents.push({ type: "retry", entry: one });
        return;
      }
      this.log.push(`start ${one.id}`);
      one.state = "running";
    }
  }

  stop(entries: readonly Entry[]): void {
    for (const entry of [...entries].reverse()) {
      if (entry.state === "running") this.log.push(`stop ${entry.id}`);
      entry.state = "stopped";
      if (entry.restart === "temporary") this.entries = this.entries.filter((one) => one !== entry);
    }
  }
}

const ids = ["a", "b", "c", "d", "e"];

const reason = fc.constantFrom<ExitReason>(
  { type: "normal" },
  { type: "shutdown" },
  { type: "killed" },
  { type: "abnormal", error: "x" },
);

/** Exits that come so close together that the supervisor sees the second while it deals with the first. */
const burst = fc.array(fc.tuple(fc.constantFrom(...ids), reason), { minLength: 1, maxLength: 3 });

const scenario = fc.record({
  strategy: fc.constantFrom<Strategy>("one-for-one", "rest-for-one", "one-for-all"),
  restarts: fc.integer({ min: 0, max: 8 }),
  policies: fc.array(fc.constantFrom<Restart>("permanent", "transient", "temporary"), {
    minLength: 1,
    maxLength: 5,
  }),
  bursts: fc.array(burst, { maxLength: 6 }),
  failures: fc.array(fc.boolean(), { maxLength: 12 }),
});

it("a supervisor does what the model of OTP's does", async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ strategy, restarts, policies, bursts, failures }) => {
      const children = policies.map((restart, index) => [ids[index] as string, restart] as const);
      const script = (): (() => boolean) => {
        const left = [...failures];
        return () => !(left.shift() ?? false);
      };
      const model = new Model(strategy, restarts, script(), children);
      const nursery = new Nursery();
      const real = await supervisor({
        strategy,
        intensity: { restarts, withinMs: 1e9 },
        children: children.map(([id, restart]) => nursery.spec(id, { restart })),
      });
      nursery.mayStart = script();
      for (const exits of bursts) {
        for (const [id, why] of exits) {
          model.exit(id, why);
          const child = nursery.latest.get(id);
          if (child?.alive) child.exit(why);
        }
        model.settle();
        await rest();
        expect(nursery.log).toEqual(model.log);
        expect(real.alive).toBe(model.alive);
        const states = model.entries.map(({ id, state }) => [id, state]);
        expect(real.children().map(({ id, state }) => [id, state])).toEqual(states);
      }
      if (model.alive) model.stop(model.entries);
      await real.stop();
      expect(nursery.log).toEqual(model.log);
      expect([...nursery.latest.values()].some(({ alive }) => alive)).toBe(false);
    }),
    { numRuns: 300 },
  );
});
