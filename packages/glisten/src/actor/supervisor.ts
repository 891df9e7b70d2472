/**
 * A supervisor with a fixed list of children: starts them in order, restarts them by its strategy, ends them in
 * reverse order. What it is made of, what it shows, and how it is started.
 */

import {
  type Child,
  type ChildSpecification,
  checkChildSpecification,
  type Restart,
} from "./child-specification.ts";
import type { ExitReason } from "./exit.ts";
import type { RestartIntensity, RestartIntensityError } from "./intensity.ts";
import type { ProcessDown } from "./monitor.ts";
import type { Receiver, Unsubscribe } from "./selector.ts";
import { StaticSupervisor } from "./static-supervisor.ts";

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
  /** The id of its specification. */
  readonly id: string;
  /** The running child, if it runs. */
  readonly child: Child | undefined;
  /** `restarting`: its last start failed and another is due. `stopped`: it ended and is not to be restarted now. */
  readonly state: "running" | "starting" | "restarting" | "stopped";
  /** Does it supervise others? */
  readonly type: "worker" | "supervisor";
  /** When it is restarted. */
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

/**
 * Starts a supervisor and its children. Rejects with a `SupervisorStartError` when one does not start; those
 * that had started are ended first, in reverse order. Rejects with a TypeError or RangeError for options that
 * make no sense, such as two children of one id.
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

/**
 * A supervisor as a child of another: of type `supervisor`, `permanent` and with `infinity` to stop unless `as`
 * says otherwise.
 *
 * Throws a TypeError or RangeError for options that make no sense.
 */
export function supervisorSpec(
  id: string,
  options: SupervisorOptions,
  as: Pick<ChildSpecification, "restart" | "shutdownMs"> = {},
): ChildSpecification<Supervisor> {
  checkOptions(options);
  const { restart, shutdownMs } = as;
  return { id, restart, shutdownMs, type: "supervisor", start: (signal) => launch(options, signal) };
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
