// A supervisor of many children of one kind, started on demand.
//
// Owns the set of children and their common end: all are asked at once, and killed together at the deadline.
// Two ways in: `startChild` for processes with promises, restarted by policy; `adopt` for tens of thousands of
// short-lived ones, at the cost of one entry in a set.

import type { ExitReason } from "../exit.ts";
import type { ProcessDown } from "../monitor.ts";
import type { Receiver, Unsubscribe } from "../selector.ts";
import type { Child, Restart, Shutdown } from "./child-specification.ts";
import type { RestartIntensity, RestartIntensityError } from "./intensity.ts";

/**
 * A child without promises, for {@link FactorySupervisor.adopt}. It tells its end by calling the supervisor's
 * `childExited`.
 */
export interface LightChild {
  /** The supervisor's own: where it keeps the child. */
  place?: number | undefined;
  /** Asked to end within `deadlineMs` (which may be `Infinity`). */
  shutdown(deadlineMs: number): void;
  /** Told to end now. */
  kill(): void;
}

/** What happens in a factory supervisor, as it happens. Adopted children make no events. */
export type FactoryEvent<Arg> =
  | { readonly type: "child-exited"; readonly argument: Arg; readonly reason: ExitReason }
  | { readonly type: "child-start-failed"; readonly argument: Arg; readonly error: unknown }
  | { readonly type: "gave-up"; readonly error: RestartIntensityError };

/** What a factory supervisor is made of. */
export interface FactoryOptions<Arg, C extends Child> {
  /** Starts one child. `signal` is aborted when the supervisor is stopped in the meantime. */
  readonly start?: ((argument: Arg, signal: AbortSignal) => Promise<C> | C) | undefined;
  /** When a child is started again, with the argument it had. Default: `temporary`, which is never. */
  readonly restart?: Restart | undefined;
  /** How long the children may take to stop. Default: 5000. `stop({ deadlineMs })` overrides it. */
  readonly shutdownMs?: Shutdown | undefined;
  /** Default: 2 restarts within 5000 ms. */
  readonly intensity?: RestartIntensity | undefined;
  /** Told of everything that happens. */
  readonly onEvent?: ((event: FactoryEvent<Arg>) => void) | undefined;
}

/** How a factory supervisor ended, and what became of the children that were there when it was stopped. */
export type FactoryReport = ExitReason & {
  /** Children that ended by themselves before the deadline. */
  readonly drained: number;
  /** Children that had to be killed. */
  readonly killed: number;
};

/** A running factory supervisor. It is itself a `Child`. */
export interface FactorySupervisor<Arg, C extends Child = Child> extends Child, AsyncDisposable {
  /** False once it has ended. */
  readonly alive: boolean;
  /** Whether it takes children: not since `stop`, `kill` or giving up. */
  readonly open: boolean;
  /** How many children run, adopted ones included. */
  readonly count: number;
  readonly exited: Promise<FactoryReport>;
  /**
   * Starts a child. Rejects with what `start` failed with, or a `FactoryClosedError`; a child that arrives
   * when the supervisor has been stopped is killed.
   */
  startChild(argument: Arg): Promise<C>;
  /**
   * Takes in a child that runs already; it must call `childExited` when it has ended. Synchronous, O(1), no
   * promise. False: the supervisor is stopping, the child is not taken and stays its maker's.
   */
  adopt(child: LightChild): boolean;
  /** An adopted child has ended. One that is not, or no longer, here changes nothing. */
  childExited(child: LightChild): void;
  /** The children started with `startChild` that run now. */
  children(): C[];
  /** The adopted children that run now. */
  adopted(): IterableIterator<LightChild>;
  /**
   * Asks all children to end, at once; at the deadline (default: `shutdownMs`) kills those that are left.
   * Resolves with the report. A second call can only shorten the time.
   */
  stop(deadline?: number | { readonly deadlineMs?: number | undefined }): Promise<FactoryReport>;
  /** Kills all children now. */
  kill(): void;
  /** Tells `receiver` when the supervisor has ended; at once when it has already. */
  monitor(receiver: Receiver<ProcessDown>): Unsubscribe;
}
