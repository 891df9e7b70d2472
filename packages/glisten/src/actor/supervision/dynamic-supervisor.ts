// The life of a factory supervisor.
//
// Owns the set of children, their restarts, and their common end. An adopted child costs one entry in a set; a
// started one a promise and what its own `stop` takes.

import { clock, oneTurn, type Timer } from "../../clock.ts";
import { UsageError } from "../../errors.ts";
import { checkFunctions, checkNames, shown } from "../../option-names.ts";
import { abnormalExit, describeExit, type ExitReason, isFailure, killedExit, shutdownExit } from "../exit.ts";
import { Monitors, type ProcessDown } from "../monitor.ts";
import type { Receiver, Unsubscribe } from "../selector.ts";
import { after } from "../timer.ts";
import { callUser } from "../user-code.ts";
import {
  type Child,
  type ChildSpecification,
  checkRestart,
  checkShutdown,
  exitOf,
  isChild,
  shutdownLimit,
} from "./child-specification.ts";
import type {
  FactoryEvent,
  FactoryOptions,
  FactoryReport,
  FactorySupervisor,
  LightChild,
} from "./factory-supervisor.ts";
import { RestartIntensityError, RestartWindow } from "./intensity.ts";
import { Roster } from "./roster.ts";
import { killChild } from "./stop-child.ts";

/** The supervisor does not take children: it is stopping, or has ended. */
export class FactoryClosedError extends Error {
  override readonly name: string = "FactoryClosedError";

  constructor() {
    super("the factory supervisor is stopping and starts no more children");
  }
}

/** A child started with `startChild`. Restarts replace the child; the entry stays. */
class Incarnation<Arg, C extends Child> implements LightChild {
  readonly argument: Arg;
  child: C | undefined;

  constructor(argument: Arg) {
    this.argument = argument;
  }

  shutdown(deadlineMs: number): void {
    const { child } = this;
    if (child === undefined) return;
    // A child whose stop fails is killed.
    try {
      child.stop(deadlineMs).then(undefined, () => killChild(child));
    } catch {
      killChild(child);
    }
  }

  kill(): void {
    if (this.child !== undefined) killChild(this.child);
  }
}

/** A factory supervisor from its start to its end. */
export class DynamicSupervisor<Arg, C extends Child> implements FactorySupervisor<Arg, C> {
  readonly exited: Promise<FactoryReport>;
  readonly #options: FactoryOptions<Arg, C>;
  readonly #window: RestartWindow;
  readonly #children = new Roster<LightChild>();
  readonly #monitors = new Monitors();
  readonly #starting = new AbortController();
  #open = true;
  #alive = true;
  /** Why it is ending. */
  #reason: ExitReason = shutdownExit;
  #leftAtStop = 0;
  #timer: Timer | undefined;
  #deadlineAt = Number.POSITIVE_INFINITY;
  #resolveExited!: (report: FactoryReport) => void;

  constructor(options: FactoryOptions<Arg, C>) {
    checkRestart(options.restart, "factory supervisor");
    checkShutdown(options.shutdownMs, "factory supervisor");
    this.#options = options;
    this.#window = new RestartWindow(options.intensity);
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
  }

  get alive(): boolean {
    return this.#alive;
  }

  get open(): boolean {
    return this.#open;
  }

  get count(): number {
    return this.#children.size;
  }

  adopt(child: LightChild): boolean {
    if (!this.#open) return false;
    this.#children.add(child);
    return true;
  }

  childExited(child: LightChild): void {
    if (this.#children.delete(child) && !this.#open && this.#children.size === 0) this.#end(0);
  }

  async startChild(argument: Arg): Promise<C> {
    if (!this.#open) throw new FactoryClosedError();
    const child = await this.#startOne(argument);
    if (!this.#open) {
      killChild(child);
      throw new FactoryClosedError();
    }
    const entry = new Incarnation<Arg, C>(argument);
    this.#children.add(entry);
    this.#run(entry, child);
    return child;
  }

  children(): C[] {
    const running: C[] = [];
    for (const entry of this.#children) {
      if (entry instanceof Incarnation && entry.child !== undefined) running.push(entry.child as C);
    }
    return running;
  }

  *adopted(): IterableIterator<LightChild> {
    for (const entry of this.#children) if (!(entry instanceof Incarnation)) yield entry;
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    return this.#monitors.add(receiver);
  }

  stop(deadline?: number | { readonly deadlineMs?: number | undefined }): Promise<FactoryReport> {
    const given = typeof deadline === "object" ? deadline.deadlineMs : deadline;
    const usual = this.#open ? shutdownLimit(this.#options) : Number.POSITIVE_INFINITY;
    this.#close(shutdownExit, given ?? usual);
    return this.exited;
  }

  kill(): void {
    this.#close(killedExit, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.stop());
  }

  async #startOne(argument: Arg): Promise<C> {
    const { start } = this.#options;
    if (start === undefined) throw new UsageError("this factory supervisor has no start: it only adopts");
    const child = await start(argument, this.#starting.signal);
    if (!isChild(child)) throw new UsageError(`the factory's start must return a child, got ${shown(child)}`);
    return child;
  }

  #run(entry: Incarnation<Arg, C>, child: C): void {
    entry.child = child;
    void exitOf(child).then((reason) => {
      if (!this.#children.has(entry)) return;
      entry.child = undefined;
      this.#report({ type: "child-exited", argument: entry.argument, reason });
      if (this.#open && this.#mayRestart(reason)) void this.#restart(entry, reason);
      else this.childExited(entry);
    });
  }

  #mayRestart(reason: ExitReason): boolean {
    const { restart = "temporary" } = this.#options;
    return restart === "permanent" || (restart === "transient" && isFailure(reason));
  }

  async #restart(entry: Incarnation<Arg, C>, why: ExitReason): Promise<void> {
    let reason = why;
    while (this.#open) {
      if (!this.#window.add(clock.now())) {
        this.#giveUp(entry, reason);
        return;
      }
      try {
        const child = await this.#startOne(entry.argument);
        if (this.#open) this.#run(entry, child);
        else this.#arrivedLate(entry, child);
        return;
      } catch (error) {
        this.#report({ type: "child-start-failed", argument: entry.argument, error });
        reason = abnormalExit(error);
      }
      // Starts that fail immediately must not starve the event loop.
      await oneTurn();
    }
    this.childExited(entry);
  }

  #arrivedLate(entry: Incarnation<Arg, C>, child: C): void {
    killChild(child);
    this.childExited(entry);
  }

  #giveUp(entry: Incarnation<Arg, C>, reason: ExitReason): void {
    const cause = reason.type === "abnormal" ? reason.error : new Error(describeExit(reason));
    const error = new RestartIntensityError(undefined, this.#window, cause);
    this.#report({ type: "gave-up", error });
    this.#children.delete(entry);
    this.#close(abnormalExit(error), shutdownLimit(this.#options));
  }

  /** Begins the end, or brings its deadline nearer. */
  #close(reason: ExitReason, deadlineMs: number): void {
    if (!this.#alive) return;
    if (this.#open) {
      this.#open = false;
      this.#leftAtStop = this.#children.size;
      this.#reason = reason;
      this.#starting.abort();
      if (deadlineMs > 0) this.#askAll(deadlineMs);
    } else if (reason.type === "killed") {
      this.#reason = reason;
    }
    if (!this.#alive) return;
    if (this.#children.size === 0) this.#end(0);
    else this.#armDeadline(deadlineMs);
  }

  #askAll(deadlineMs: number): void {
    for (const child of [...this.#children]) {
      void callUser((one) => one.shutdown(deadlineMs), child);
    }
  }

  #armDeadline(deadlineMs: number): void {
    const at = clock.now() + deadlineMs;
    if (at >= this.#deadlineAt) return;
    this.#deadlineAt = at;
    clock.clearTimer(this.#timer);
    if (deadlineMs <= 0) this.#killRest();
    else this.#timer = after(deadlineMs, () => this.#killRest());
  }

  #killRest(): void {
    const rest = [...this.#children];
    this.#children.clear();
    for (const child of rest) {
      void callUser((one) => one.kill(), child);
    }
    this.#end(rest.length);
  }

  #end(killed: number): void {
    if (!this.#alive) return;
    this.#alive = false;
    clock.clearTimer(this.#timer);
    const report: FactoryReport = { ...this.#reason, drained: this.#leftAtStop - killed, killed };
    this.#monitors.down(report, this);
    this.#resolveExited(report);
  }

  #report(event: FactoryEvent<Arg>): void {
    if (this.#options.onEvent !== undefined) void callUser(this.#options.onEvent, event);
  }
}

/**
 * Makes a factory supervisor. It runs at once, without children.
 *
 * Throws a UsageError for invalid options.
 *
 * ```ts
 * const workers = factorySupervisor({ start: (job: Job) => startWorker(job), restart: "transient" });
 * await workers.startChild(job);
 * const { drained, killed } = await workers.stop({ deadlineMs: 10_000 });
 * ```
 */
export function factorySupervisor<Arg, C extends Child = Child>(
  options: FactoryOptions<Arg, C> = {},
): FactorySupervisor<Arg, C> {
  checkNames("factorySupervisor", options, ["start", "restart", "shutdownMs", "intensity", "onEvent"]);
  checkFunctions(options, [], ["start", "onEvent"]);
  return new DynamicSupervisor<Arg, C>(options);
}

/**
 * A factory supervisor as a child of another supervisor: of type `supervisor`, `permanent` and with `infinity`
 * to stop unless `as` says otherwise (the `restart` and `shutdownMs` of the options are its children's).
 */
export function factorySupervisorSpec<Arg, C extends Child = Child>(
  id: string,
  options: FactoryOptions<Arg, C> = {},
  as: Pick<ChildSpecification, "restart" | "shutdownMs"> = {},
): ChildSpecification<FactorySupervisor<Arg, C>> {
  const { restart, shutdownMs } = as;
  return {
    id,
    restart,
    shutdownMs,
    type: "supervisor",
    start: async () => factorySupervisor<Arg, C>(options),
  };
}
