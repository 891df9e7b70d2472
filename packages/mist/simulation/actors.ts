// The supervisors of a run, their children, and what must hold of them.

import * as actor from "@x/glisten/actor";
import { Incarnation, type Sent, type Siblings } from "./actor-child.ts";
import { PlannedError } from "./handlers.ts";
import type { ActorScenario, ChildPlan, TreePlan } from "./scenario.ts";
import type { World } from "./world.ts";

export async function runActors(world: World, plan: ActorScenario): Promise<void> {
  await Promise.all(plan.trees.map((tree) => new Tree(world, tree).run()));
}

type Factory = actor.FactorySupervisor<number, actor.ActorRef<Sent>>;

/** How long children that are killed, and supervisors that are late, are waited for. */
const graceMs = 1300;
/** A message to an `actor.start` that takes longer fails. */
const initTimeoutMs = 1000;

class Tree implements Siblings {
  readonly #world: World;
  readonly #plan: TreePlan;
  readonly #name: string;
  readonly #all: Incarnation[] = [];
  readonly #starts: Map<number, number> = new Map();
  readonly #living: Map<number, Incarnation> = new Map();
  readonly #factories: Map<number, Factory> = new Map();
  /** When something happened that a restart follows, for certain, and perhaps. */
  readonly #certain: number[] = [];
  readonly #possible: number[] = [];
  /** Children whose last start failed. */
  readonly #retrying: Set<number> = new Set();
  readonly #arrived: Set<actor.Child> = new Set();
  #supervisor: actor.Supervisor | undefined = undefined;
  #gaveUp = false;
  #stopCalledAt: number | undefined = undefined;
  #deadlineAt: number = Number.POSITIVE_INFINITY;
  #killed = false;
  #exited: actor.ExitReason | undefined = undefined;
  /** The child whose failure is being dealt with; the last to be stopped, and to be started, for it. */
  #failed = -1;
  #lastStopped = Number.POSITIVE_INFINITY;
  #lastStarted = -1;

  constructor(world: World, plan: TreePlan) {
    this.#world = world;
    this.#plan = plan;
    this.#name = `s${plan.id}`;
  }

  after(child: ChildPlan): Incarnation | undefined {
    return this.#living.get(child.id + 1);
  }

  async run(): Promise<void> {
    const world = this.#world;
    const { strategy, restarts, withinMs, children, stop } = this.#plan;
    world.atEnd(() => this.#judge());
    for (const child of children) {
      for (const message of child.messages)
        world.after(message.atMs, () =>
          child.factory
            ? this.#startChild(child, message.timeoutMs)
            : this.#living.get(child.id)?.send(message),
        );
    }
    world.after(stop.atMs, () => this.#stop());
    try {
      this.#supervisor = await actor.supervisor({
        strategy,
        intensity: { restarts, withinMs },
        children: children.map((child) => (child.factory ? this.#factory(child) : this.#worker(child))),
        onEvent: (event) => this.#happened(event),
      });
    } catch (error) {
      world.log(this.#name, `did not start: ${(error as Error).message}`);
      this.#exited = actor.shutdownExit;
      if (
        !children.some(({ failingStarts }) => failingStarts.includes(0)) &&
        !children.some(({ initMs }) => initMs >= initTimeoutMs)
      )
        world.fail("supervisors start", `${this.#name}: ${(error as Error).stack}`);
      return;
    }
    world.log(this.#name, "started");
    this.#supervisor.monitor(({ reason }) => this.#ended(reason));
    if (this.#stopCalledAt !== undefined) this.#stopNow();
  }

  #worker(child: ChildPlan): actor.ChildSpecification<actor.ActorRef<Sent>> {
    return {
      id: `${child.id}`,
      restart: child.restart,
      shutdownMs: child.shutdownMs,
      start: () => this.#incarnate(child).start(),
    };
  }

  #incarnate(child: ChildPlan): Incarnation {
    const count = this.#starts.get(child.id) ?? 0;
    this.#starts.set(child.id, count + 1);
    const before = this.#living.get(child.id);
    if (!child.factory && before?.alive === true && before.exit === undefined)
      this.#world.fail("one incarnation at a time", `${before.name} lives, and another is started`);
    if (child.failingStarts.includes(count))
      throw new PlannedError(`${this.#name}.${child.id} does not start`);
    const incarnation = new Incarnation(this.#world, `${this.#name}.${child.id}#${count}`, child, this);
    this.#all.push(incarnation);
    if (!child.factory) this.#living.set(child.id, incarnation);
    return incarnation;
  }

  #factory(child: ChildPlan): actor.ChildSpecification<Factory> {
    return {
      id: `${child.id}`,
      type: "supervisor",
      restart: child.restart,
      shutdownMs: child.shutdownMs,
      start: () => {
        const factory: Factory = actor.factorySupervisor({
          restart: child.restart,
          shutdownMs: child.shutdownMs,
          start: (lives) =>
            this.#incarnate(child)
              .start()
              .then((ref) => this.#endLater(ref, lives)),
        });
        this.#factories.set(child.id, factory);
        return factory;
      },
    };
  }

  #endLater(ref: actor.ActorRef<Sent>, lives: number): actor.ActorRef<Sent> {
    if (lives > 0)
      this.#world.after(lives, () =>
        this.#all
          .find((one) => one.ref === ref)
          ?.send({ atMs: 0, does: lives === 500 ? "stop" : "throw", timeoutMs: 0 }),
      );
    return ref;
  }

  #startChild(child: ChildPlan, lives: number): void {
    const factory = this.#factories.get(child.id);
    if (factory === undefined) return;
    const wasOpen = factory.open;
    factory.startChild(lives).then(
      () => {},
      (error: Error) => {
        const isTrue = error instanceof PlannedError || !factory.open;
        if (!isTrue || (wasOpen && error.name !== "PlannedError" && factory.open))
          this.#world.fail("factories start children", `${this.#name}.${child.id}: ${error.stack}`);
      },
    );
  }

  // ── what happens ────────────────────────────────────────────────────────────────────────────────────────

  #happened(event: actor.SupervisorEvent): void {
    const world = this.#world;
    const reason = "reason" in event ? `: ${event.reason.type}` : "";
    world.log(this.#name, `${event.type} ${event.id}${reason}`);
    const index = Number(event.id);
    const child = this.#plan.children.find(({ id }) => id === index) as ChildPlan;
    switch (event.type) {
      case "child-exited":
        this.#failed = index;
        this.#lastStopped = Number.POSITIVE_INFINITY;
        this.#lastStarted = -1;
        if (restarts(child, event.reason)) this.#certain.push(world.time.elapsed);
        if (restarts(child, event.reason)) this.#possible.push(world.time.elapsed);
        return;
      case "child-start-failed":
        this.#retrying.add(index);
        this.#possible.push(world.time.elapsed);
        // The next attempt begins anew.
        this.#failed = index;
        this.#lastStopped = Number.POSITIVE_INFINITY;
        this.#lastStarted = -1;
        return;
      case "child-stopped":
        this.#judgeStopped(index);
        this.#lastStopped = index;
        return;
      case "child-started":
        // What comes behind a start that failed is a start of its own.
        if (this.#retrying.delete(index)) this.#lastStarted = -1;
        if (index <= this.#lastStarted)
          world.fail("children start in order", `${this.#name}: ${index} behind ${this.#lastStarted}`);
        this.#lastStarted = index;
        this.#arrived.add(event.child);
        return;
      case "gave-up":
        this.#gaveUp = true;
        this.#judgeGivingUp();
    }
  }

  #judgeStopped(index: number): void {
    if (index >= this.#lastStopped && !this.#ends)
      this.#world.fail(
        "children end in reverse order",
        `${this.#name}: ${index} behind ${this.#lastStopped}`,
      );
    if (this.#ends) return;
    const { strategy } = this.#plan;
    const isAffected = strategy === "one-for-all" || (strategy === "rest-for-one" && index >= this.#failed);
    if (!isAffected)
      this.#world.fail(
        "only those concerned are restarted",
        `${this.#name}: ${index} is stopped because of ${this.#failed}`,
      );
  }

  get #ends(): boolean {
    return this.#gaveUp || this.#stopCalledAt !== undefined || this.#supervisor === undefined;
  }

  #judgeGivingUp(): void {
    const { restarts: most, withinMs } = this.#plan;
    const now = this.#world.time.elapsed;
    const recent = this.#possible.filter((at) => now - at <= withinMs).length;
    if (recent <= most)
      this.#world.fail("intensity is kept", `${this.#name}: gives up after ${recent} of ${most} restarts`);
  }

  #stop(): void {
    const { again } = this.#plan.stop;
    if (this.#exited !== undefined) return;
    this.#stopCalledAt = this.#world.time.elapsed;
    this.#stopNow();
    if (again === undefined) return;
    this.#world.after(again.afterMs, () => {
      if (this.#supervisor === undefined || this.#exited !== undefined) return;
      this.#world.log(this.#name, `stop again, ${again.deadlineMs}`);
      this.#deadlineAt = Math.min(this.#deadlineAt, this.#world.time.elapsed + again.deadlineMs);
      void this.#supervisor.stop(again.deadlineMs);
    });
  }

  #stopNow(): void {
    const supervisor = this.#supervisor;
    const { how, deadlineMs } = this.#plan.stop;
    if (supervisor === undefined || this.#exited !== undefined) return;
    const now = this.#world.time.elapsed;
    this.#stopCalledAt = now;
    this.#deadlineAt = how === "kill" ? now : now + (deadlineMs ?? Number.POSITIVE_INFINITY);
    this.#world.log(this.#name, `${how}, deadline ${deadlineMs}`);
    if (how === "kill") {
      this.#killed = true;
      supervisor.kill();
    } else void supervisor.stop(deadlineMs);
  }

  #ended(reason: actor.ExitReason): void {
    const world = this.#world;
    const now = world.time.elapsed;
    if (this.#exited !== undefined) world.fail("monitors tell the truth", `${this.#name}: down twice`);
    this.#exited = reason;
    world.over();
    world.log(this.#name, `down: ${reason.type}`);
    const isTrue =
      reason.type === "abnormal"
        ? this.#gaveUp
        : reason.type === "killed"
          ? this.#killed
          : this.#stopCalledAt !== undefined;
    if (!isTrue) world.fail("reasons are true", `${this.#name}: ${reason.type}`);
    const byChildren = this.#plan.children.reduce(
      (sum, { shutdownMs }) => sum + (typeof shutdownMs === "number" ? shutdownMs : 0) + graceMs,
      initTimeoutMs,
    );
    const hasInfinity = this.#plan.children.some(({ shutdownMs }) => shutdownMs === "infinity");
    const deadlineAt = Math.min(
      this.#deadlineAt + graceMs,
      hasInfinity ? Number.POSITIVE_INFINITY : (this.#stopCalledAt ?? now) + byChildren,
    );
    if (now > Math.max(deadlineAt, (this.#stopCalledAt ?? 0) + graceMs))
      world.fail(
        "stop meets its deadline",
        `${this.#name}: down at ${now}, and asked at ${this.#stopCalledAt} for ${this.#deadlineAt}`,
      );
    // A child that arrives later is ended at once.
    for (const { ref, name } of this.#all)
      if (ref?.alive === true && this.#arrived.has(ref))
        world.fail("every child is accounted for", `${name} is alive behind its supervisor`);
    for (const child of this.#supervisor?.children() ?? [])
      if (child.child !== undefined)
        world.fail("every child is accounted for", `${this.#name}: child ${child.id} is ${child.state}`);
    for (const [id, factory] of this.#factories)
      if (this.#arrived.has(factory) && (factory.alive || factory.count > 0))
        world.fail("every child is accounted for", `${this.#name}.${id}: ${factory.count} children left`);
  }

  // ── at the end ──────────────────────────────────────────────────────────────────────────────────────────

  #judge(): void {
    const world = this.#world;
    if (this.#exited === undefined) world.fail("nothing waits for ever", `${this.#name} has not ended`);
    for (const incarnation of this.#all) incarnation.judge();
    if (this.#gaveUp || this.#plan.strategy !== "one-for-one") return;
    const { restarts: most, withinMs } = this.#plan;
    for (const [index, at] of this.#certain.entries()) {
      const within = this.#certain.slice(0, index + 1).filter((one) => at - one <= withinMs).length;
      // What is dealt with while the supervisor ends counts no more.
      if (within > most && (this.#stopCalledAt === undefined || at < this.#stopCalledAt))
        world.fail(
          "intensity is kept",
          `${this.#name}: ${within} restarts within ${withinMs} ms, and it goes on`,
        );
    }
  }
}

function restarts({ restart }: ChildPlan, reason: actor.ExitReason): boolean {
  return (
    restart === "permanent" ||
    (restart === "transient" && (reason.type === "abnormal" || reason.type === "killed"))
  );
}
