// Several processes that serve one address: n supervised workers over node:cluster.
//
//   cluster (one-for-one)
//   └── worker slots   each a process that runs the same module and listens on the same address
//
// node:cluster, not threads with `reusePort`: the primary holds the listening socket, so that no connection is refused
// or reset while workers come and go; a socket closed under SO_REUSEPORT takes its accept queue with it.

import nodeCluster from "node:cluster";
import { availableParallelism } from "node:os";
import { type ExitReason, type Supervisor, supervisor } from "../actor/index.ts";
import { UsageError } from "../errors.ts";
import type { StopCount } from "../server-interface.ts";
import type { WorkerAddress, WorkerFigures } from "./messages.ts";
import { type ClusterMember, runWorker } from "./worker.ts";
import { type SlotSettings, WorkerSlot } from "./worker-slot.ts";

/** Options of {@link cluster}. */
export interface ClusterOptions {
  /** Worker processes. Default: `os.availableParallelism()`. */
  readonly workers?: number;
  /** Crashes of workers that are put up with, within how long. Default: 5 within 10 000 ms. */
  readonly intensity?: { readonly restarts: number; readonly withinMs: number };
  /** A worker must listen within this. Default: 30 000 ms. */
  readonly startTimeoutMs?: number;
  /** How long a worker drains when it is stopped or replaced. Default: 10 000 ms. */
  readonly stopDeadlineMs?: number;
}

/** Figures of all workers together. */
export interface ClusterInfo extends WorkerFigures {
  /** Where the workers listen. */
  readonly address: WorkerAddress;
  /** Process ids of the workers that run. */
  readonly workers: readonly number[];
}

/** A cluster as its primary process has it. */
export interface ClusterPrimary extends AsyncDisposable {
  readonly role: "primary";
  /** The sum over all workers that answer. */
  info(): Promise<ClusterInfo>;
  /**
   * Replaces the workers one after the other: each new one listens before its predecessor is drained. Rejects with a
   * StartError if a new worker does not start; the rest then stays as it was.
   */
  reload(): Promise<void>;
  /** Stops all workers at once; resolves with what their servers reported. */
  stop(options?: { readonly deadlineMs?: number }): Promise<StopCount>;
  /** Resolves when the cluster has ended: `shutdown`, or `abnormal` when the restart intensity was exceeded. */
  readonly closed: Promise<ExitReason>;
}

/** A cluster as a worker has it: its own server. The primary starts, reloads and stops it. */
export interface ClusterWorker<Member> {
  readonly role: "worker";
  /** What `start` gave in this process. */
  readonly server: Member;
}

/**
 * Runs this module in several processes that serve one address. In the primary, forks the workers; in each worker,
 * calls `start`. Workers ignore SIGINT and SIGTERM: the primary stops them, and they stop when it dies.
 *
 * @param start starts the server and resolves when it listens; called in workers only.
 * @throws StartError (rejects) if a worker cannot start, UsageError for bad options.
 *
 * @example
 * ```ts
 * const running = await cluster(() => builder.start(4000), { workers: 2 });
 * if (running.role === "primary") process.once("SIGTERM", () => running.stop());
 * ```
 */
export async function cluster<Member extends ClusterMember>(
  start: () => Promise<Member>,
  options: ClusterOptions = {},
): Promise<ClusterPrimary | ClusterWorker<Member>> {
  if (nodeCluster.isWorker) return { role: "worker", server: await runWorker(start) };
  return Primary.start(options);
}

class Primary implements ClusterPrimary {
  readonly role = "primary";
  readonly closed: Promise<ExitReason>;
  readonly #supervisor: Supervisor;
  readonly #settings: SlotSettings;
  readonly #slots: ReadonlyMap<string, WorkerSlot>;
  #reloading: Promise<void> | undefined = undefined;

  private constructor(tree: Supervisor, slots: ReadonlyMap<string, WorkerSlot>, settings: SlotSettings) {
    this.#supervisor = tree;
    this.#slots = slots;
    this.#settings = settings;
    this.closed = tree.exited;
  }

  static async start(options: ClusterOptions): Promise<Primary> {
    const workers = positive(options.workers ?? availableParallelism(), "workers");
    const settings: SlotSettings = {
      startTimeoutMs: positive(options.startTimeoutMs ?? 30_000, "startTimeoutMs"),
      stopDeadlineMs: positive(options.stopDeadlineMs ?? 10_000, "stopDeadlineMs"),
    };
    const slots = new Map<string, WorkerSlot>();
    const children = Array.from({ length: workers }, (_, index) => {
      const id = `worker-${index + 1}`;
      const startSlot = async (signal: AbortSignal): Promise<WorkerSlot> => {
        const slot = await WorkerSlot.start(settings, signal);
        slots.set(id, slot);
        return slot;
      };
      return { id, start: startSlot, shutdownMs: "infinity" as const };
    });
    const intensity = options.intensity ?? { restarts: 5, withinMs: 10_000 };
    const tree = await supervisor({ strategy: "one-for-one", children, intensity });
    return new Primary(tree, slots, settings);
  }

  async info(): Promise<ClusterInfo> {
    const workers = this.#workers();
    const answers = await Promise.all(workers.map((worker) => worker.info()));
    const figures = answers.filter((answer) => answer !== undefined);
    const address = workers[0]?.address;
    if (address === undefined) throw new UsageError("the cluster has ended");
    return { ...sum(figures), address, workers: workers.map((worker) => worker.pid) };
  }

  reload(): Promise<void> {
    this.#reloading ??= this.#replaceAll().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async stop(options: { readonly deadlineMs?: number } = {}): Promise<StopCount> {
    const deadlineMs = Math.min(
      options.deadlineMs ?? this.#settings.stopDeadlineMs,
      this.#settings.stopDeadlineMs,
    );
    const workers = this.#workers();
    // All drain at the same time; the supervisor, which stops its children in turn, finds them gone.
    const stopped = Promise.all(workers.map((worker) => worker.stop(deadlineMs)));
    const ended = this.#supervisor.stop(Number.POSITIVE_INFINITY);
    await stopped;
    await ended;
    let [drained, killed] = [0, 0];
    for (const { report } of workers) {
      drained += report?.drained ?? 0;
      killed += report?.killed ?? 0;
    }
    return { drained, killed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #workers() {
    return [...this.#slots.values()].map((slot) => slot.worker);
  }

  async #replaceAll(): Promise<void> {
    for (const slot of this.#slots.values()) await slot.replace();
  }
}

function sum(all: readonly WorkerFigures[]): WorkerFigures {
  const states: Record<string, number> = {};
  let [connections, accepted, rejected, bytesRead, bytesWritten] = [0, 0, 0, 0, 0];
  for (const figures of all) {
    connections += figures.connections;
    accepted += figures.accepted;
    rejected += figures.rejected;
    bytesRead += figures.bytesRead;
    bytesWritten += figures.bytesWritten;
    for (const [state, count] of Object.entries(figures.states)) states[state] = (states[state] ?? 0) + count;
  }
  return {
    connections,
    accepted,
    rejected,
    bytesRead,
    bytesWritten,
    states: states as WorkerFigures["states"],
  };
}

function positive(value: number, name: string): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new UsageError(`${name} is a positive integer, not ${value}`);
}
