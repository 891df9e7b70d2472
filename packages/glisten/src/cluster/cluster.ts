/**
 * Several processes that serve one address: n supervised workers over node:cluster.
 *
 *   cluster (one-for-one)
 *   └── worker slots   each a process that runs the same module and listens on the same address
 *
 * node:cluster, not threads with `reusePort`: the primary holds the listening socket, so that no connection is refused
 * or reset while workers come and go; a socket closed under SO_REUSEPORT takes its accept queue with it. It holds it
 * as long as there is a worker that listens.
 */

import nodeCluster from "node:cluster";
import { availableParallelism } from "node:os";
import { type ExitReason, type Supervisor, SupervisorStartError, supervisor } from "../actor/index.ts";
import { UsageError } from "../errors.ts";
import { checkNames } from "../option-names.ts";
import type { StopCount } from "../server/server-interface.ts";
import { Fleet } from "./fleet.ts";
import type { WorkerAddress, WorkerFigures } from "./messages.ts";
import { type ClusterMember, runWorker } from "./worker.ts";
import { WorkerSlot } from "./worker-slot.ts";

/** Options of {@link cluster}. */
export interface ClusterOptions {
  /** Worker processes. Default: `os.availableParallelism()`. */
  readonly workers?: number;
  /** Crashes of workers that are put up with, within how long. Default: 5 within 10 000 ms. */
  readonly intensity?: { readonly restarts: number; readonly withinMs: number };
  /** A worker must listen within this. Default: 30 000 ms. */
  readonly startTimeoutMs?: number;
  /** How long a worker drains when it is stopped or replaced, or its primary has died. Default: 10 000 ms. */
  readonly stopDeadlineMs?: number;
}

/** Figures of all workers together. */
export interface ClusterInfo extends WorkerFigures {
  /** Where the workers listen. */
  readonly address: WorkerAddress;
  /** Process ids of the workers that run, those included that drain behind their successors. */
  readonly workers: readonly number[];
}

/** A cluster as its primary process has it. */
export interface ClusterPrimary extends AsyncDisposable {
  readonly role: "primary";
  /** The sum over all workers that answer. */
  info(): Promise<ClusterInfo>;
  /**
   * Replaces the workers one after the other: each new one listens before its predecessor is drained. Rejects with a
   * StartError if a new worker does not start, or the cluster is stopped; the rest then stays as it was. While a
   * reload is under way, another call joins it.
   */
  reload(): Promise<void>;
  /**
   * Stops all workers at once; resolves with what their servers reported. The deadline is `stopDeadlineMs` unless
   * another is given; a second call can only bring it nearer.
   */
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
  const checked = checkOptions(options);
  if (!nodeCluster.isWorker) return Primary.start(checked);
  return { role: "worker", server: await runWorker(start, checked.stopDeadlineMs) };
}

class Primary implements ClusterPrimary {
  readonly role = "primary";
  readonly closed: Promise<ExitReason>;
  readonly #supervisor: Supervisor;
  readonly #fleet: Fleet;
  readonly #slots: ReadonlyMap<string, WorkerSlot>;
  #reloading: Promise<void> | undefined = undefined;

  private constructor(tree: Supervisor, slots: ReadonlyMap<string, WorkerSlot>, fleet: Fleet) {
    this.#supervisor = tree;
    this.#slots = slots;
    this.#fleet = fleet;
    this.closed = tree.exited.then(async (reason) => {
      await fleet.stop(fleet.settings.stopDeadlineMs); // whoever still drained behind a successor
      return reason;
    });
  }

  static async start({ workers, intensity, ...settings }: Required<ClusterOptions>): Promise<Primary> {
    const fleet = new Fleet(settings);
    const slots = new Map<string, WorkerSlot>();
    const children = Array.from({ length: workers }, (_, index) => {
      const id = `worker-${index + 1}`;
      const startSlot = async (signal: AbortSignal): Promise<WorkerSlot> => {
        const slot = await WorkerSlot.start(fleet, signal);
        slots.set(id, slot);
        return slot;
      };
      return { id, start: startSlot, shutdownMs: "infinity" as const };
    });
    try {
      const tree = await supervisor({ strategy: "one-for-one", children, intensity });
      return new Primary(tree, slots, fleet);
    } catch (error) {
      throw error instanceof SupervisorStartError ? error.cause : error;
    }
  }

  async info(): Promise<ClusterInfo> {
    const { address, pids: workers } = this.#fleet;
    return { ...(await this.#fleet.figures()), address, workers };
  }

  reload(): Promise<void> {
    if (!this.#supervisor.alive) return Promise.reject(new UsageError("the cluster has ended"));
    this.#reloading ??= this.#replaceAll().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async stop(options: { readonly deadlineMs?: number } = {}): Promise<StopCount> {
    const deadlineMs = milliseconds(options.deadlineMs ?? this.#fleet.settings.stopDeadlineMs, "deadlineMs");
    // All drain at the same time; the supervisor, which stops its children in turn, finds them gone.
    for (const slot of this.#slots.values()) void slot.stop(deadlineMs);
    void this.#supervisor.stop(Number.POSITIVE_INFINITY);
    const report = await this.#fleet.stop(deadlineMs);
    await this.closed;
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #replaceAll(): Promise<void> {
    // The slot of a name is another one after a crash.
    for (const id of this.#slots.keys()) await this.#slots.get(id)!.replace();
  }
}

// setTimeout's own limit is 2^31 - 1 ms.
const LONGEST_MS = 2 ** 31 - 1 - 60_000;

function checkOptions(options: ClusterOptions): Required<ClusterOptions> {
  checkNames("cluster", options, ["workers", "intensity", "startTimeoutMs", "stopDeadlineMs"]);
  const { workers = availableParallelism(), startTimeoutMs = 30_000, stopDeadlineMs = 10_000 } = options;
  const { intensity = { restarts: 5, withinMs: 10_000 } } = options;
  if (!Number.isInteger(workers) || workers < 1) {
    throw new UsageError(`workers must be a whole number from 1, not ${String(workers)}`);
  }
  const { restarts, withinMs } = intensity;
  if (!Number.isInteger(restarts) || restarts < 0 || !(withinMs > 0)) {
    throw new UsageError(
      "intensity must be { restarts, withinMs }: a whole number from 0, and more than 0 ms",
    );
  }
  return {
    workers,
    intensity,
    startTimeoutMs: milliseconds(startTimeoutMs, "startTimeoutMs", 1),
    stopDeadlineMs: milliseconds(stopDeadlineMs, "stopDeadlineMs"),
  };
}

function milliseconds(value: number, name: string, least = 0): number {
  if (value >= least && value <= LONGEST_MS) return value;
  throw new UsageError(`${name} must be ${least} to ${LONGEST_MS} ms, not ${String(value)}`);
}
