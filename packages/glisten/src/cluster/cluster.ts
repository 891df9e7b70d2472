// Several processes that serve one address: n supervised workers over node:cluster.
//
//   cluster (one-for-one)
//   └── worker slots   each a process that runs the same module and listens on the same address
//
// node:cluster, not threads with `reusePort`: the primary holds the listening socket as long as a worker listens, so
// that no connection is refused or reset while workers come and go. A socket closed under SO_REUSEPORT takes its accept
// queue with it.

import nodeCluster from "node:cluster";
import { availableParallelism } from "node:os";
import process from "node:process";
import {
  type ExitReason,
  type RestartIntensityError,
  type Supervisor,
  type SupervisorEvent,
  SupervisorStartError,
  supervisor,
} from "../actor/index.ts";
import { RestartWindow } from "../actor/supervision/intensity.ts";
import { UsageError } from "../errors.ts";
import { checkFunction, checkFunctions, checkNames, shown } from "../option-names.ts";
import { stopTimes } from "../server/drain.ts";
import type { StopCount, StopOptions } from "../server/server-interface.ts";
import { Fleet, type FleetSettings } from "./fleet.ts";
import type { WorkerAddress } from "./messages.ts";
import { type ClusterMember, runWorker, type WorkerSettings } from "./worker.ts";
import { WorkerSlot } from "./worker-slot.ts";

/** Options of {@link cluster}. */
export interface ClusterOptions {
  /** Worker processes. Default: `os.availableParallelism()`. */
  readonly workers?: number | undefined;
  /**
   * Worker crashes that are tolerated, and within how long; one more, and the cluster gives up. Default: 5, 10 000 ms.
   */
  readonly intensity?: { readonly restarts: number; readonly withinMs: number } | undefined;
  /** A worker must listen within this. Default: 30 000 ms. */
  readonly startTimeoutMs?: number | undefined;
  /** How long a worker drains when it is stopped or replaced, or its primary has died. Default: 10 000 ms. */
  readonly stopDeadlineMs?: number | undefined;
  /**
   * Cleans up in a worker whose server has ended: flushes a log, closes a pool. Awaited for what is left of the stop
   * deadline, and for 1000 ms at least; a failure is printed to stderr, and the worker exits with code 1.
   */
  readonly onStop?: (() => void | Promise<void>) | undefined;
  /**
   * Called in the primary when workers have crashed more often than `intensity` tolerates. Default: prints the error's
   * message to stderr, and has the process exit with code 1 once the other workers have drained.
   */
  readonly onGiveUp?: ((error: Error) => void | Promise<void>) | undefined;
}

/** What the `info` of a server tells beside where it listens. */
export type WorkerFigures<Member extends ClusterMember = ClusterMember> = Pick<
  ReturnType<Member["info"]>,
  keyof ReturnType<Member["info"]>
>;

/** Figures of all workers together. */
export type ClusterInfo<Member extends ClusterMember = ClusterMember> = WorkerFigures<Member> & {
  /** Where the workers listen. */
  readonly address: WorkerAddress;
  /** Process ids of the workers that run, those included that drain behind their successors. */
  readonly workers: readonly number[];
};

/** A cluster in its primary process. */
export interface ClusterPrimary<Member extends ClusterMember = ClusterMember> extends AsyncDisposable {
  readonly role: "primary";
  /** The sum over all workers that answer, of everything that their servers count. */
  info(): Promise<ClusterInfo<Member>>;
  /**
   * Replaces the workers one after the other: each new one listens before its predecessor is drained. Rejects with a
   * StartError if a new worker does not start, or the cluster is stopped; the rest then stays as it was. While a
   * reload is under way, another call joins it.
   */
  reload(): Promise<void>;
  /**
   * Stops all workers at once, as `Server.stop` does in each; resolves with what their servers reported. The deadline
   * is `stopDeadlineMs` unless another is given. A second call can only make it end sooner.
   *
   * @throws UsageError (rejects) for times that are not numbers of at least 0.
   */
  stop(options?: StopOptions): Promise<StopCount>;
  /** Resolves when the cluster has ended: `shutdown`, or `abnormal` when it gave up. */
  readonly closed: Promise<ExitReason>;
}

/** A cluster in a worker: its own server. The primary starts, reloads and stops it. */
export interface ClusterWorker<Member> {
  readonly role: "worker";
  /** The server that `start` started in this process. */
  readonly server: Member;
}

/**
 * Runs this module in several processes that serve one address. In the primary, forks the workers; in each worker,
 * calls `start`. Workers ignore SIGINT and SIGTERM: the primary stops them, and they stop when it dies. A worker whose
 * server has stopped ends when nothing keeps its event loop alive, and at the stop deadline in any case.
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
): Promise<ClusterPrimary<Member> | ClusterWorker<Member>> {
  checkFunction("start", start);
  const checked = checkOptions(options);
  if (!nodeCluster.isWorker) return Primary.start<Member>(checked);
  return { role: "worker", server: await runWorker(start, checked) };
}

class Primary<Member extends ClusterMember> implements ClusterPrimary<Member> {
  readonly role = "primary";
  readonly closed: Promise<ExitReason>;
  readonly #supervisor: Supervisor;
  readonly #fleet: Fleet;
  readonly #slots: ReadonlyMap<string, WorkerSlot>;
  #reloading: Promise<void> | undefined = undefined;

  private constructor(
    tree: Supervisor,
    slots: ReadonlyMap<string, WorkerSlot>,
    fleet: Fleet,
    exits: boolean,
  ) {
    this.#supervisor = tree;
    this.#slots = slots;
    this.#fleet = fleet;
    this.closed = tree.exited.then(async (reason) => {
      await fleet.stop(fleet.settings.stopDeadlineMs); // those that still drain behind a successor
      // A service manager acts on the exit code. A primary that lived on would refuse every client.
      if (exits && reason.type === "abnormal") setImmediate(() => process.exit());
      return reason;
    });
  }

  static async start<Member extends ClusterMember>(options: CheckedOptions): Promise<Primary<Member>> {
    const { workers, intensity, onGiveUp } = options;
    const fleet = new Fleet(options);
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
    const onEvent = (event: SupervisorEvent): void => {
      if (event.type !== "gave-up") return;
      // All drain at the same time; the supervisor stops its children in turn.
      void fleet.stop(options.stopDeadlineMs);
      void tell(onGiveUp ?? printAndFail, sentence(event.error));
    };
    try {
      const tree = await supervisor({ children, intensity, onEvent });
      return new Primary(tree, slots, fleet, onGiveUp === undefined);
    } catch (error) {
      throw error instanceof SupervisorStartError ? error.cause : error;
    }
  }

  async info(): Promise<ClusterInfo<Member>> {
    const { address, pids: workers } = this.#fleet;
    return { ...((await this.#fleet.figures()) as unknown as WorkerFigures<Member>), address, workers };
  }

  reload(): Promise<void> {
    if (!this.#supervisor.alive) return Promise.reject(new UsageError("the cluster has ended"));
    this.#reloading ??= this.#replaceAll().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async stop(options?: StopOptions): Promise<StopCount> {
    const { delayMs, deadlineMs = this.#fleet.settings.stopDeadlineMs } = stopTimes(options);
    milliseconds(deadlineMs, "deadlineMs");
    milliseconds(delayMs, "delayMs");
    // All drain at the same time; the supervisor, which stops its children in turn, finds them gone.
    for (const slot of this.#slots.values()) void slot.stop(deadlineMs, delayMs);
    void this.#supervisor.stop();
    const report = await this.#fleet.stop(deadlineMs, delayMs);
    await this.closed;
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #replaceAll(): Promise<void> {
    // After a crash there is another slot of the same id.
    for (const id of this.#slots.keys()) await this.#slots.get(id)!.replace();
  }
}

/** The error that tells of a give-up in one sentence. */
function sentence({ restarts, withinMs, cause }: RestartIntensityError): Error {
  const last = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    `The cluster gives up: its workers crashed more than ${restarts} times within ${withinMs} ms. The last: ${last}`,
    { cause },
  );
}

function printAndFail({ message }: Error): void {
  console.error(message);
  process.exitCode = 1;
}

async function tell(onGiveUp: (error: Error) => unknown, error: Error): Promise<void> {
  try {
    await onGiveUp(error);
  } catch (failure) {
    console.error(failure);
  }
}

interface CheckedOptions extends FleetSettings, WorkerSettings {
  readonly workers: number;
  readonly intensity: { readonly restarts: number; readonly withinMs: number };
  readonly onGiveUp: ClusterOptions["onGiveUp"];
}

/** A timer of Node's takes 2^31 - 1 ms; this leaves room for what comes behind the deadline. */
const longestMs = 2 ** 30;

function checkOptions(options: ClusterOptions): CheckedOptions {
  const names = ["workers", "intensity", "startTimeoutMs", "stopDeadlineMs", "onStop", "onGiveUp"];
  checkNames("cluster", options, names);
  const { workers = availableParallelism(), startTimeoutMs = 30_000, stopDeadlineMs = 10_000 } = options;
  const { intensity = { restarts: 5, withinMs: 10_000 }, onStop, onGiveUp } = options;
  if (!Number.isInteger(workers) || workers < 1) {
    throw new UsageError(`workers must be an integer of at least 1, got ${shown(workers)}`);
  }
  new RestartWindow(intensity); // checks it
  checkFunctions(options, [], ["onStop", "onGiveUp"]);
  return {
    workers,
    intensity,
    startTimeoutMs: milliseconds(startTimeoutMs, "startTimeoutMs", 1),
    stopDeadlineMs: milliseconds(stopDeadlineMs, "stopDeadlineMs"),
    onStop,
    onGiveUp,
  };
}

function milliseconds(value: number, name: string, least = 0): number {
  if (value >= least && value <= longestMs) return value;
  throw new UsageError(`${name} must be a number from ${least} to ${longestMs}, got ${shown(value)}`);
}
