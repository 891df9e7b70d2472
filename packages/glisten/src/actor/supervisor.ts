/**
 * A supervisor with a fixed list of children: starts them in order, restarts them by its strategy, ends them in
 * reverse order.
 *
 * Semantics are those of Erlang/OTP's `supervisor`. One thing happens at a time: while a restart is under way
 * other exits wait, and an exit of a child that has meanwhile been replaced is void.
 */

import {
  type Child,
  type ChildSpecification,
  checkChildSpecification,
  exitOf,
  isChild,
  type Restart,
  shutdownLimit,
} from "./child-specification.ts";
import { abnormalExit, describeExit, type ExitReason, isFailure, killedExit, shutdownExit } from "./exit.ts";
import { type RestartIntensity, RestartIntensityError, RestartWindow } from "./intensity.ts";
import { Monitors, type ProcessDown } from "./monitor.ts";
import { Queue } from "./queue.ts";
import type { Receiver, Unsubscribe } from "./selector.ts";
import { killChild, stopChild } from "./stop-child.ts";
import { after, within } from "./timer.ts";
import { raiseUncaught } from "./uncaught.ts";

/**
 * Which children are restarted when one has failed.
 *
 * - `one-for-one`: that one.
 * - `rest-for-one`: that one and those started after it.
 * - `one-for-all`: all.
 */
export type Strategy = "one-for-one" | "rest-for-one" | "one-for-all";

/** What happens in a supervisor, as it happens. */
export type SupervisorEvent =
  | { readonly type: "child-started"; readonly id: string; readonly child: Child }
  | { readonly type: "child-exited"; readonly id: string; readonly reason: ExitReason }
  | {
      readonly type: "child-stopped";
      readonly id: string;
      readonly reason: ExitReason;
      readonly killed: boolean;
    }
  | { readonly type: "child-start-failed"; readonly id: string; readonly error: unknown }
  | { readonly type: "gave-up"; readonly id: string; readonly error: RestartIntensityError };

/** What a supervisor is made of. */
export interface SupervisorOptions {
  /** Default: `one-for-one`. */
  readonly strategy?: Strategy | undefined;
  /** Started in this order, ended in reverse. */
  readonly children: readonly ChildSpecification[];
  /** Default: 2 restarts within 5000 ms; the third is one too many. */
  readonly intensity?: RestartIntensity | undefined;
  /** Told of everything that happens. */
  readonly onEvent?: ((event: SupervisorEvent) => void) | undefined;
  /** Aborting it stops the supervisor, also while it is starting. */
  readonly signal?: AbortSignal | undefined;
}

/** One child as it stands. */
export interface ChildInfo {
  readonly id: string;
  /** The running child, if it runs. */
  readonly child: Child | undefined;
  /** `restarting`: its last start failed and another is due. `stopped`: it ended and is not to be restarted now. */
  readonly state: "running" | "starting" | "restarting" | "stopped";
  readonly type: "worker" | "supervisor";
  readonly restart: Restart;
}

/** A running supervisor. It is itself a `Child`. */
export interface Supervisor extends Child, AsyncDisposable {
  /** False once it has ended. */
  readonly alive: boolean;
  /**
   * Resolves once it and all its children have ended: `shutdown` after `stop`, `killed` after `kill`, `abnormal`
   * with a {@link RestartIntensityError} when it gave up.
   */
  readonly exited: Promise<ExitReason>;
  /**
   * Ends the children in reverse order, each within its own time. After `deadlineMs` (default: no limit of its
   * own) those that are left are killed. A second call can only shorten the time.
   */
  stop(deadlineMs?: number): Promise<ExitReason>;
  /** Kills all children now. */
  kill(): void;
  /** Tells `receiver` when the supervisor has ended; at once when it has already. */
  monitor(receiver: Receiver<ProcessDown>): Unsubscribe;
  /** All children, in order of start. A temporary child that has ended is not among them. */
  children(): ChildInfo[];
  /** The running child of this id; its type is the caller's to know. */
  which<C extends Child = Child>(id: string): C | undefined;
}

/** A supervisor's child did not start, so the supervisor did not. `cause` is the child's error. */
export class SupervisorStartError extends Error {
  override readonly name: string = "SupervisorStartError";
  /** The child; undefined when the start was aborted between two children. */
  readonly childId: string | undefined;
  /** `child-failed`, or `aborted` by the signal. */
  readonly reason: "child-failed" | "aborted";

  constructor(reason: "child-failed" | "aborted", childId: string | undefined, cause: unknown) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    super(
      reason === "aborted"
        ? "the supervisor was stopped before all its children had started"
        : `child ${childId} did not start: ${detail}`,
      { cause },
    );
    this.reason = reason;
    this.childId = childId;
  }
}

type Entry = {
  readonly specification: ChildSpecification;
  child: Child | undefined;
  state: ChildInfo["state"];
};

type Incident =
  | { readonly type: "exit"; readonly entry: Entry; readonly child: Child; readonly reason: ExitReason }
  | { readonly type: "retry"; readonly entry: Entry; readonly error: unknown };

class StaticSupervisor implements Supervisor {
  readonly exited: Promise<ExitReason>;
  readonly #strategy: Strategy;
  readonly #onEvent: SupervisorOptions["onEvent"];
  readonly #window: RestartWindow;
  readonly #monitors = new Monitors();
  readonly #incidents = new Queue<Incident>();
  /** Aborted when the supervisor stops: starts that are under way may give up. */
  readonly #starting = new AbortController();
  /** Aborted when the stop deadline has passed: what is left is killed. */
  readonly #hurry = new AbortController();
  #entries: Entry[];
  #working = true;
  #stopRequested = false;
  #dead = false;
  #deadlineAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #resolveExited!: (reason: ExitReason) => void;

  constructor(options: SupervisorOptions) {
    this.#strategy = options.strategy ?? "one-for-one";
    this.#onEvent = options.onEvent;
    this.#window = new RestartWindow(options.intensity);
    this.#entries = options.children.map((specification) => ({
      specification,
      child: undefined,
      state: "starting",
    }));
    this.exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
  }

  get alive(): boolean {
    return !this.#dead;
  }

  children(): ChildInfo[] {
    return this.#entries.map(({ specification, child, state }) => ({
      id: specification.id,
      child,
      state,
      type: specification.type ?? "worker",
      restart: specification.restart ?? "permanent",
    }));
  }

  which<C extends Child = Child>(id: string): C | undefined {
    return this.#entries.find(({ specification }) => specification.id === id)?.child as C | undefined;
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    return this.#monitors.add(receiver);
  }

  stop(deadlineMs: number = Number.POSITIVE_INFINITY): Promise<ExitReason> {
    if (this.#dead) return this.exited;
    this.#stopRequested = true;
    this.#limitTo(deadlineMs);
    this.#starting.abort();
    if (!this.#working) void this.#work();
    return this.exited;
  }

  kill(): void {
    if (this.#dead) return;
    this.#hurry.abort();
    this.#starting.abort();
    this.#end(killedExit);
    for (const entry of this.#entries.toReversed()) {
      if (entry.child !== undefined) killChild(entry.child);
      entry.child = undefined;
      entry.state = "stopped";
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Starts all children; on failure ends those that run, and rejects. */
  async start(): Promise<void> {
    const failure = await this.#startInOrder(this.#entries);
    if (failure === undefined && !this.#stopRequested && !this.#dead) {
      void this.#work();
      return;
    }
    await this.#stopAll();
    const error =
      failure === undefined || this.#stopRequested || this.#dead
        ? new SupervisorStartError("aborted", failure?.entry.specification.id, failure?.error)
        : new SupervisorStartError("child-failed", failure.entry.specification.id, failure.error);
    this.#end(this.#stopRequested ? shutdownExit : abnormalExit(error));
    throw error;
  }

  /** Handles what has happened, one thing after the other, until nothing is left to do. */
  async #work(): Promise<void> {
    this.#working = true;
    while (!this.#dead && !this.#stopRequested && this.#incidents.length > 0) {
      await this.#handle(this.#incidents.shift());
    }
    this.#working = false;
    if (this.#dead || !this.#stopRequested) return;
    this.#working = true;
    await this.#stopAll();
    this.#end(shutdownExit);
  }

  async #handle(incident: Incident): Promise<void> {
    const { entry } = incident;
    if (incident.type === "retry") {
      // A sibling's failure may have restarted it in the meantime.
      if (entry.state === "restarting") await this.#restart(entry, abnormalExit(incident.error));
      return;
    }
    if (entry.child !== incident.child) return;
    entry.child = undefined;
    entry.state = "stopped";
    this.#report({ type: "child-exited", id: entry.specification.id, reason: incident.reason });
    if (shouldRestart(entry.specification.restart, incident.reason)) {
      entry.state = "restarting";
      await this.#restart(entry, incident.reason);
    } else if (entry.specification.restart === "temporary") {
      this.#entries = this.#entries.filter((other) => other !== entry);
    }
  }

  async #restart(entry: Entry, reason: ExitReason): Promise<void> {
    if (!this.#window.add(performance.now())) {
      await this.#giveUp(entry, reason);
      return;
    }
    const affected = this.#affectedBy(entry);
    await this.#stopInReverse(affected);
    const failure = await this.#startInOrder(affected.filter((one) => this.#entries.includes(one)));
    if (failure === undefined || this.#stopRequested || this.#dead) return;
    failure.entry.state = "restarting";
    this.#incidents.push({ type: "retry", entry: failure.entry, error: failure.error });
    // A start that fails at once, again and again, must not keep the process from everything else.
    await new Promise((resolve) => setImmediate(resolve));
  }

  #affectedBy(entry: Entry): Entry[] {
    if (this.#strategy === "one-for-one") return [entry];
    return this.#strategy === "one-for-all"
      ? [...this.#entries]
      : this.#entries.slice(this.#entries.indexOf(entry));
  }

  async #giveUp(entry: Entry, reason: ExitReason): Promise<void> {
    const cause = reason.type === "abnormal" ? reason.error : new Error(describeExit(reason));
    const error = new RestartIntensityError(entry.specification.id, this.#window, cause);
    this.#report({ type: "gave-up", id: entry.specification.id, error });
    this.#starting.abort();
    await this.#stopAll();
    this.#end(abnormalExit(error));
  }

  /** Starts these one after the other; stops at the first that fails, or when the supervisor is to end. */
  async #startInOrder(
    entries: readonly Entry[],
  ): Promise<{ readonly entry: Entry; readonly error: unknown } | undefined> {
    for (const entry of entries) {
      if (this.#stopRequested || this.#dead) return undefined;
      entry.state = "starting";
      try {
        await this.#startOne(entry);
      } catch (error) {
        entry.state = "stopped";
        this.#report({ type: "child-start-failed", id: entry.specification.id, error });
        return { entry, error };
      }
    }
    return undefined;
  }

  async #startOne(entry: Entry): Promise<void> {
    const starting = startChild(entry.specification, this.#starting.signal);
    const limit = shutdownLimit(entry.specification);
    // Once the supervisor is to stop, a start under way has as long as the child would have for stopping.
    const child =
      (await within(starting, Number.POSITIVE_INFINITY, this.#starting.signal)) ??
      (await within(starting, limit, this.#hurry.signal));
    if (child === undefined) {
      // It may still arrive; then nobody is left to look after it.
      starting.then(killChild, () => {});
      throw new Error("the supervisor was stopped before the child had started");
    }
    if (this.#dead) {
      killChild(child);
      return;
    }
    entry.child = child;
    entry.state = "running";
    this.#report({ type: "child-started", id: entry.specification.id, child });
    void exitOf(child).then((reason) => this.#noteExit(entry, child, reason));
  }

  #noteExit(entry: Entry, child: Child, reason: ExitReason): void {
    if (this.#dead || entry.child !== child) return;
    this.#incidents.push({ type: "exit", entry, child, reason });
    if (!this.#working) void this.#work();
  }

  async #stopAll(): Promise<void> {
    await this.#stopInReverse([...this.#entries]);
  }

  async #stopInReverse(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries.toReversed()) {
      if (this.#dead) return;
      const { child, specification } = entry;
      entry.child = undefined;
      entry.state = "stopped";
      if (child !== undefined) {
        const limit = Math.min(shutdownLimit(specification), this.#remaining());
        const { reason, killed } = await stopChild(child, limit, this.#hurry.signal);
        this.#report({ type: "child-stopped", id: specification.id, reason, killed });
      }
      if (specification.restart === "temporary") {
        this.#entries = this.#entries.filter((other) => other !== entry);
      }
    }
  }

  #remaining(): number {
    const left = this.#deadlineAt - performance.now();
    // Timers are true to a millisecond: with less than that to go the deadline has come.
    return this.#hurry.signal.aborted || left < 1 ? 0 : left;
  }

  /** Brings the stop deadline nearer; never puts it off. */
  #limitTo(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (at >= this.#deadlineAt) return;
    this.#deadlineAt = at;
    clearTimeout(this.#timer);
    if (deadlineMs <= 0) this.#hurry.abort();
    else this.#timer = after(deadlineMs, () => this.#hurry.abort());
  }

  #end(reason: ExitReason): void {
    if (this.#dead) return;
    this.#dead = true;
    clearTimeout(this.#timer);
    this.#monitors.down(reason, this);
    this.#resolveExited(reason);
  }

  #report(event: SupervisorEvent): void {
    try {
      this.#onEvent?.(event);
    } catch (error) {
      raiseUncaught(error);
    }
  }
}

async function startChild(specification: ChildSpecification, signal: AbortSignal): Promise<Child> {
  const child = await specification.start(signal);
  if (!isChild(child))
    throw new TypeError(`child ${specification.id}: start gave nothing that can be supervised`);
  return child;
}

function shouldRestart(restart: Restart = "permanent", reason: ExitReason): boolean {
  return restart === "permanent" || (restart === "transient" && isFailure(reason));
}

/**
 * Starts a supervisor and its children. Rejects with a {@link SupervisorStartError} when one does not start;
 * those that had started are ended first, in reverse order.
 *
 * Throws a TypeError or RangeError for options that make no sense, such as two children of one id.
 *
 * ```ts
 * const tree = await supervisor({
 *   strategy: "rest-for-one",
 *   children: [{ id: "store", start: startStore }, { id: "server", start: startServer }],
 * });
 * const reason = await tree.exited;
 * ```
 */
export async function supervisor(options: SupervisorOptions): Promise<Supervisor> {
  checkOptions(options);
  return launch(options, undefined);
}

/** `startSignal` stops the supervisor only as long as it is starting. */
async function launch(options: SupervisorOptions, startSignal: AbortSignal | undefined): Promise<Supervisor> {
  const it = new StaticSupervisor(options);
  const detachStart = stopOnAbort(it, startSignal);
  const detach = stopOnAbort(it, options.signal);
  void it.exited.then(detach);
  try {
    await it.start();
  } finally {
    detachStart();
  }
  return it;
}

function stopOnAbort(it: Supervisor, signal: AbortSignal | undefined): () => void {
  const stop = (): void => void it.stop();
  if (signal?.aborted) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  return () => signal?.removeEventListener("abort", stop);
}

/** A supervisor as a child of another: of type `supervisor`, with `infinity` to stop unless said otherwise. */
export function supervisorSpec(
  options: SupervisorOptions & Pick<ChildSpecification, "id" | "restart" | "shutdownMs">,
): ChildSpecification<Supervisor> {
  checkOptions(options);
  const { id, restart, shutdownMs } = options;
  return {
    id,
    restart,
    shutdownMs,
    type: "supervisor",
    start: (signal) => launch(options, signal),
  };
}

function checkOptions(options: SupervisorOptions): void {
  const { strategy, children } = options;
  if (strategy !== undefined && !["one-for-one", "rest-for-one", "one-for-all"].includes(strategy)) {
    throw new TypeError(
      `strategy must be "one-for-one", "rest-for-one" or "one-for-all", not ${String(strategy)}`,
    );
  }
  const ids = new Set<string>();
  for (const specification of children) {
    checkChildSpecification(specification);
    if (ids.has(specification.id)) throw new TypeError(`two children have the id ${specification.id}`);
    ids.add(specification.id);
  }
}
