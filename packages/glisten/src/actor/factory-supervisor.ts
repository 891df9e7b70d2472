/**
 * A supervisor of many children of one kind, started on demand.
 *
 * Owns the set of children and their common end: all are asked at once, and killed together at the deadline.
 * Two ways in: `startChild` for processes with promises, restarted by policy; `adopt` for tens of thousands of
 * short-lived ones, at the cost of one entry in a set.
 */

import {
  type Child,
  type ChildSpecification,
  checkRestart,
  checkShutdown,
  exitOf,
  isChild,
  type Restart,
  type Shutdown,
  shutdownLimit,
} from "./child-specification.ts";
import { abnormalExit, describeExit, type ExitReason, isFailure, killedExit, shutdownExit } from "./exit.ts";
import { type RestartIntensity, RestartIntensityError, RestartWindow } from "./intensity.ts";
import { Monitors, type ProcessDown } from "./monitor.ts";
import type { Receiver, Unsubscribe } from "./selector.ts";
import { killChild } from "./stop-child.ts";
import { after } from "./timer.ts";
import { raiseUncaught } from "./uncaught.ts";

/**
 * A child without promises, for {@link FactorySupervisor.adopt}. It tells its end by calling the supervisor's
 * `childExited`.
 */
export interface LightChild {
  /** Asked to end within `deadlineMs` (which may be `Infinity`). */
  shutdown(deadlineMs: number): void;
  /** Told to end now. */
  kill(): void;
}

/** What happens in a factory supervisor, as it happens. Adopted children make no events. */
export type FactoryEvent<Arg> =
  | { readonly type: "child-exited"; readonly argument: Arg; readonly reason: ExitReason }
  | { readonly type: "child-start-failed"; readonly argument: Arg; readonly error: unknown }
  | { readonly type: "gave-up"; readonly error: RestartIntensityError };

/** What a factory supervisor is made of. */
export interface FactoryOptions<Arg, C extends Child> {
  /** Starts one child. `signal` is aborted when the supervisor is stopped in the meantime. */
  readonly start?: ((argument: Arg, signal: AbortSignal) => Promise<C> | C) | undefined;
  /** When a child is started again, with the argument it had. Default: `temporary`, which is never. */
  readonly restart?: Restart | undefined;
  /** How long the children may take to stop. Default: 5000. `stop({ deadlineMs })` overrides it. */
  readonly shutdownMs?: Shutdown | undefined;
  /** Default: 2 restarts within 5000 ms. */
  readonly intensity?: RestartIntensity | undefined;
  /** Told of everything that happens. */
  readonly onEvent?: ((event: FactoryEvent<Arg>) => void) | undefined;
}

/** How a factory supervisor ended, and what became of the children that were there when it was stopped. */
export type FactoryReport = ExitReason & {
  /** Children that ended by themselves before the deadline. */
  readonly drained: number;
  /** Children that had to be killed. */
  readonly killed: number;
};

/** The supervisor does not take children: it is stopping, or has ended. */
export class FactoryClosedError extends Error {
  override readonly name: string = "FactoryClosedError";

  constructor() {
    super("the factory supervisor is stopping and starts no more children");
  }
}

/** A running factory supervisor. It is itself a `Child`. */
export interface FactorySupervisor<Arg, C extends Child = Child> extends Child, AsyncDisposable {
  /** False once it has ended. */
  readonly alive: boolean;
  /** Whether it takes children: not since `stop`, `kill` or giving up. */
  readonly open: boolean;
  /** How many children run, adopted ones included. */
  readonly count: number;
  readonly exited: Promise<FactoryReport>;
  /**
   * Starts a child. Rejects with what `start` failed with, or a {@link FactoryClosedError}; a child that arrives
   * when the supervisor has been stopped is killed.
   */
  startChild(argument: Arg): Promise<C>;
  /**
   * Takes in a child that runs already; it must call `childExited` when it has ended. Synchronous, O(1), no
   * promise. False: the supervisor is stopping, the child is not taken and stays its maker's.
   */
  adopt(child: LightChild): boolean;
  /** An adopted child has ended. One that is not, or no longer, here changes nothing. */
  childExited(child: LightChild): void;
  /** The children started with `startChild` that run now. */
  children(): C[];
  /** The adopted children that run now. */
  adopted(): IterableIterator<LightChild>;
  /**
   * Asks all children to end, at once; at the deadline (default: `shutdownMs`) kills those that are left.
   * Resolves with the report. A second call can only shorten the time.
   */
  stop(deadline?: number | { readonly deadlineMs?: number | undefined }): Promise<FactoryReport>;
  /** Kills all children now. */
  kill(): void;
  /** Tells `receiver` when the supervisor has ended; at once when it has already. */
  monitor(receiver: Receiver<ProcessDown>): Unsubscribe;
}

/** A child started with `startChild`, as a light one. Its incarnations change, the entry stays. */
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

class DynamicSupervisor<Arg, C extends Child> implements FactorySupervisor<Arg, C> {
  readonly exited: Promise<FactoryReport>;
  readonly #options: FactoryOptions<Arg, C>;
  readonly #window: RestartWindow;
  readonly #children = new Set<LightChild>();
  readonly #monitors = new Monitors();
  readonly #starting = new AbortController();
  #open = true;
  #alive = true;
  /** Why it is ending. */
  #reason: ExitReason = shutdownExit;
  #leftAtStop = 0;
  #timer: NodeJS.Timeout | undefined;
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
    await this.stop();
  }

  async #startOne(argument: Arg): Promise<C> {
    const { start } = this.#options;
    if (start === undefined) throw new TypeError("this factory supervisor has no start: it only adopts");
    const child = await start(argument, this.#starting.signal);
    if (!isChild(child)) throw new TypeError("the factory's start gave nothing that can be supervised");
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
      if (!this.#window.add(performance.now())) {
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
      // A start that fails at once, again and again, must not keep the process from everything else.
      await new Promise((resolve) => setImmediate(resolve));
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
      try {
        child.shutdown(deadlineMs);
      } catch (error) {
        raiseUncaught(error);
      }
    }
  }

  #armDeadline(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (at >= this.#deadlineAt) return;
    this.#deadlineAt = at;
    clearTimeout(this.#timer);
    if (deadlineMs <= 0) this.#killRest();
    else this.#timer = after(deadlineMs, () => this.#killRest());
  }

  #killRest(): void {
    const rest = [...this.#children];
    this.#children.clear();
    for (const child of rest) {
      try {
        child.kill();
      } catch (error) {
        raiseUncaught(error);
      }
    }
    this.#end(rest.length);
  }

  #end(killed: number): void {
    if (!this.#alive) return;
    this.#alive = false;
    clearTimeout(this.#timer);
    const report: FactoryReport = { ...this.#reason, drained: this.#leftAtStop - killed, killed };
    this.#monitors.down(report, this);
    this.#resolveExited(report);
  }

  #report(event: FactoryEvent<Arg>): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      raiseUncaught(error);
    }
  }
}

/**
 * Makes a factory supervisor. It runs at once, without children.
 *
 * Throws a TypeError or RangeError for options that make no sense.
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
  return new DynamicSupervisor<Arg, C>(options);
}

/** A factory supervisor as a child of another supervisor: of type `supervisor`. */
export function factorySupervisorSpec<Arg, C extends Child = Child>(
  id: string,
  options: FactoryOptions<Arg, C> = {},
): ChildSpecification<FactorySupervisor<Arg, C>> {
  return {
    id,
    type: "supervisor",
    start: () => Promise.resolve(factorySupervisor<Arg, C>(options)),
  };
}
