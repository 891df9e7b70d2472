// All worker processes: those that hold a place, and those that still drain behind their successors.

import type { StopCount } from "../server/server-interface.ts";
import { type Counters, sumOf, type WorkerAddress } from "./messages.ts";
import { WorkerProcess } from "./worker-process.ts";

/** How workers are started and stopped, in milliseconds. */
export interface FleetSettings {
  readonly startTimeoutMs: number;
  readonly stopDeadlineMs: number;
}

/** The workers of one cluster. */
export class Fleet {
  readonly settings: FleetSettings;
  readonly #workers: Set<WorkerProcess> = new Set();
  #address: WorkerAddress | undefined = undefined;
  #zero: Counters = {};

  constructor(settings: FleetSettings) {
    this.settings = settings;
  }

  /** Where the workers listen; when none does, where the last one did. */
  get address(): WorkerAddress {
    return this.#address!;
  }

  get pids(): readonly number[] {
    return Array.from(this.#workers, (worker) => worker.pid);
  }

  /** Forks one more; it is part of the fleet once it listens, until it has ended. */
  async start(signal: AbortSignal): Promise<WorkerProcess> {
    const worker = await WorkerProcess.start(this.settings.startTimeoutMs, signal);
    this.#workers.add(worker);
    this.#address = worker.address;
    this.#zero = worker.zero;
    void worker.exited.then(() => this.#workers.delete(worker));
    return worker;
  }

  /** The sum over all workers that answer; all at 0 when none does. */
  async figures(): Promise<Counters> {
    const answers = await Promise.all(Array.from(this.#workers, (worker) => worker.info()));
    return sumOf([this.#zero, ...answers.filter((answer) => answer !== undefined)]);
  }

  /** All drain at the same time; resolves when the last has ended. */
  async stop(deadlineMs: number, delayMs = 0): Promise<StopCount> {
    const workers = [...this.#workers];
    await Promise.all(workers.map((worker) => worker.stop(deadlineMs, delayMs)));
    let [drained, killed] = [0, 0];
    for (const { report } of workers) {
      drained += report?.drained ?? 0;
      killed += report?.killed ?? 0;
    }
    return { drained, killed };
  }
}
