// A supervisor with a fixed list of children: starts them in order, restarts them by its strategy, ends them in
// reverse order. Its options and its interface; `supervise.ts` starts it.

import type { ExitReason } from "../exit.ts";
import type { ProcessDown } from "../monitor.ts";
import type { Receiver, Unsubscribe } from "../selector.ts";
import type { Child, ChildSpecification, Restart } from "./child-specification.ts";
import type { RestartIntensity, RestartIntensityError } from "./intensity.ts";

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

/** The present state of one child. */
export interface ChildInfo {
  /** The id of its specification. */
  readonly id: string;
  /** The running child, if it runs. */
  readonly child: Child | undefined;
  /** `restarting`: its last start failed and another is due. `stopped`: it ended and is not to be restarted now. */
  readonly state: "running" | "starting" | "restarting" | "stopped";
  /** The type in its specification. */
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
