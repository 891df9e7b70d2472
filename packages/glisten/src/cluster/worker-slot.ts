// A place in the cluster that a worker fills: what the supervisor restarts, and where a reload swaps workers.

import type { Child, ExitReason } from "../actor/index.ts";
import { WorkerProcess } from "./worker-process.ts";

/** How workers are started and stopped. */
export interface SlotSettings {
  readonly startTimeoutMs: number;
  readonly stopDeadlineMs: number;
}

/** A supervised worker that can be replaced without a gap. */
export class WorkerSlot implements Child {
  readonly exited: Promise<ExitReason>;
  readonly #settings: SlotSettings;
  #worker: WorkerProcess;
  #ended: (reason: ExitReason) => void = () => {};

  private constructor(worker: WorkerProcess, settings: SlotSettings) {
    this.#worker = worker;
    this.#settings = settings;
    this.exited = new Promise((resolve) => {
      this.#ended = resolve;
    });
    this.#watch(worker);
  }

  static async start(settings: SlotSettings, signal: AbortSignal): Promise<WorkerSlot> {
    return new WorkerSlot(await WorkerProcess.start(settings.startTimeoutMs, signal), settings);
  }

  get worker(): WorkerProcess {
    return this.#worker;
  }

  /** Starts a new worker, and only then drains the old one. Rejects, with the old one in place, if it cannot. */
  async replace(): Promise<void> {
    const next = await WorkerProcess.start(this.#settings.startTimeoutMs, undefined);
    const old = this.#worker;
    this.#worker = next;
    this.#watch(next);
    await old.stop(this.#settings.stopDeadlineMs);
  }

  stop(deadlineMs: number = this.#settings.stopDeadlineMs): Promise<ExitReason> {
    return this.#worker.stop(Math.min(deadlineMs, this.#settings.stopDeadlineMs));
  }

  kill(): void {
    this.#worker.kill();
  }

  // Only the end of the worker that holds the place is the end of the slot.
  #watch(worker: WorkerProcess): void {
    void worker.exited.then((reason) => {
      if (worker === this.#worker) this.#ended(reason);
    });
  }
}
