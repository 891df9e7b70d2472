// The life of a supervisor with a fixed list of children.
//
// Semantics are those of Erlang/OTP's `supervisor`. One thing happens at a time: while a restart is under way
// other exits wait, and an exit of a child that has meanwhile been replaced is void.

import { clock, oneTurn, type Timer } from "../../clock.ts";
import { UsageError } from "../../errors.ts";
import { shown } from "../../option-names.ts";
import { abnormalExit, describeExit, type ExitReason, isFailure, killedExit, shutdownExit } from "../exit.ts";
import { Monitors, type ProcessDown } from "../monitor.ts";
import { Queue } from "../queue.ts";
import type { Receiver, Unsubscribe } from "../selector.ts";
import { after, within } from "../timer.ts";
import { callUser } from "../user-code.ts";
import {
  type Child,
  type ChildSpecification,
  exitOf,
  isChild,
  type Restart,
  shutdownLimit,
} from "./child-specification.ts";
import { RestartIntensityError, RestartWindow } from "./intensity.ts";
import { killChild, stopChild } from "./stop-child.ts";
import type { ChildInfo, Strategy, Supervisor, SupervisorEvent, SupervisorOptions } from "./supervisor.ts";

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

/** A supervisor from its start to its end. */
export class StaticSupervisor implements Supervisor {
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
  /** The child that was asked to stop and is waited for. */
  #stopping: Child | undefined = undefined;
  #working = true;
  #stopRequested = false;
  #dead = false;
  #deadlineAt = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
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
    this.#dead = true;
    this.#hurry.abort();
    this.#starting.abort();
    for (const entry of this.#entries.toReversed()) {
      if (entry.child !== undefined) killChild(entry.child);
      entry.child = undefined;
      entry.state = "stopped";
    }
    if (this.#stopping !== undefined) killChild(this.#stopping);
    this.#tell(killedExit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.stop());
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

  /** Handles incidents one after the other until none is left. */
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
    if (!this.#window.add(clock.now())) {
      await this.#giveUp(entry, reason);
      return;
    }
    const affected = this.#affectedBy(entry);
    await this.#stopInReverse(affected);
    const failure = await this.#startInOrder(affected.filter((one) => this.#entries.includes(one)));
    if (failure === undefined || this.#stopRequested || this.#dead) return;
    failure.entry.state = "restarting";
    this.#incidents.push({ type: "retry", entry: failure.entry, error: failure.error });
    // Starts that fail immediately must not starve the event loop.
    await oneTurn();
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
      // It may still arrive, and is then killed.
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
        this.#stopping = child;
        const { reason, killed } = await stopChild(
          child,
          specification,
          this.#remaining(),
          this.#hurry.signal,
        );
        this.#stopping = undefined;
        this.#report({ type: "child-stopped", id: specification.id, reason, killed });
      }
      if (specification.restart === "temporary") {
        this.#entries = this.#entries.filter((other) => other !== entry);
      }
    }
  }

  /** Milliseconds until the stop deadline, which has passed only once `#hurry` is aborted. */
  #remaining(): number {
    return this.#hurry.signal.aborted ? 0 : Math.max(1, this.#deadlineAt - clock.now());
  }

  /** Brings the stop deadline nearer; never puts it off. */
  #limitTo(deadlineMs: number): void {
    const at = clock.now() + deadlineMs;
    if (at >= this.#deadlineAt) return;
    this.#deadlineAt = at;
    clock.clearTimer(this.#timer);
    if (deadlineMs <= 0) this.#hurry.abort();
    else this.#timer = after(deadlineMs, () => this.#hurry.abort());
  }

  #end(reason: ExitReason): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#tell(reason);
  }

  /** Tells that it and all its children have ended. */
  #tell(reason: ExitReason): void {
    clock.clearTimer(this.#timer);
    this.#monitors.down(reason, this);
    this.#resolveExited(reason);
  }

  #report(event: SupervisorEvent): void {
    if (this.#onEvent !== undefined) void callUser(this.#onEvent, event);
  }
}

async function startChild(specification: ChildSpecification, signal: AbortSignal): Promise<Child> {
  const child = await specification.start(signal);
  if (!isChild(child))
    throw new UsageError(`child ${specification.id}: start must return a child, got ${shown(child)}`);
  return child;
}

function shouldRestart(restart: Restart = "permanent", reason: ExitReason): boolean {
  return restart === "permanent" || (restart === "transient" && isFailure(reason));
}
