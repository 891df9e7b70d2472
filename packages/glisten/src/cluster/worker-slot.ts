// A place in the cluster that a worker fills: what the supervisor restarts, and where a reload swaps workers.

import type { Child, ExitReason } from "../actor/index.ts";
import { StartError } from "../errors.ts";
import type { Fleet } from "./fleet.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A supervised worker that can be replaced without a gap. */
export class WorkerSlot implements Child {
  readonly exited: Promise<ExitReason>;
  readonly #fleet: Fleet;
  #worker: WorkerProcess;
  #ended: (reason: ExitReason) => void = () => {};
  /** The worker has crashed: the supervisor starts another slot. */
  #crashed = false;
  #stopping = false;
  #successor: AbortController | undefined = undefined;

  private constructor(worker: WorkerProcess, fleet: Fleet) {
    this.#worker = worker;
    this.#fleet = fleet;
    this.exited = new Promise((resolve) => {
      this.#ended = resolve;
    });
    this.#watch(worker);
  }

  static async start(fleet: Fleet, signal: AbortSignal): Promise<WorkerSlot> {
    return new WorkerSlot(await fleet.start(signal), fleet);
  }

  /**
   * Starts a new worker and only then drains the old one. Rejects, with the old one in place, if it cannot. A worker
   * that crashes meanwhile needs no successor from here: its supervisor starts one.
   */
  async replace(): Promise<void> {
    if (this.#crashed) return;
    if (this.#stopping) throw stopped();
    const next = await this.#startSuccessor();
    if (next === undefined) return;
    const old = this.#worker;
    this.#worker = next;
    this.#watch(next);
    await old.stop(this.#fleet.settings.stopDeadlineMs);
  }

  /** A worker that listens; undefined if none is needed any more. */
  async #startSuccessor(): Promise<WorkerProcess | undefined> {
    const giveUp = new AbortController();
    this.#successor = giveUp;
    try {
      const next = await this.#fleet.start(giveUp.signal);
      if (!this.#crashed && !this.#stopping) return next;
      next.kill();
      if (this.#stopping) throw stopped();
    } catch (error) {
      if (!this.#crashed || this.#stopping) throw error;
    } finally {
      this.#successor = undefined;
    }
    return undefined;
  }

  /** Without a deadline of the caller's it is the cluster's own, unless the worker has been told another already. */
  stop(deadlineMs: number = Number.POSITIVE_INFINITY, delayMs = 0): Promise<ExitReason> {
    this.#stopping = true;
    this.#successor?.abort(stopped());
    const worker = this.#worker;
    if (Number.isFinite(deadlineMs)) return worker.stop(deadlineMs, delayMs);
    return worker.stopping ? worker.exited : worker.stop(this.#fleet.settings.stopDeadlineMs);
  }

  kill(): void {
    this.#stopping = true;
    this.#successor?.abort(stopped());
    this.#worker.kill();
  }

  // Only the end of the worker that holds the place is the end of the slot.
  #watch(worker: WorkerProcess): void {
    void worker.exited.then((reason) => {
      if (worker !== this.#worker) return;
      this.#crashed = !this.#stopping;
      this.#successor?.abort();
      this.#ended(reason);
    });
  }
}

function stopped(): StartError {
  const message = "The cluster was stopped before a worker had been replaced.";
  return new StartError("listener-closed", { message });
}
