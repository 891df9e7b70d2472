// What a supervisor needs to know of a child: how to start it, when to start it again, how to end it.

import { UsageError } from "../../errors.ts";
import { shown } from "../../option-names.ts";
import { abnormalExit, type ExitReason } from "../exit.ts";

/** A running process as its supervisor sees it. Structural: an actor, a supervisor, a server are such. */
export interface Child {
  /** Resolves once the process has ended, whatever ended it. Never rejects. */
  readonly exited: Promise<ExitReason>;
  /** Asks the process to end within `deadlineMs`; resolves when it has. */
  stop(deadlineMs?: number): Promise<ExitReason>;
  /** Ends the process now. */
  kill(): void;
}

/**
 * When a child that has ended is started again.
 *
 * - `permanent`: always.
 * - `transient`: after a failure (`abnormal` or `killed`), not after `normal` or `shutdown`.
 * - `temporary`: never.
 */
export type Restart = "permanent" | "transient" | "temporary";

/**
 * How long a child may take to stop before it is killed: milliseconds, `brutal-kill` (not asked at all), or
 * `infinity`. A child of type `supervisor`, which keeps the same deadline itself, is asked once more then, with no time
 * left, and killed a quarter of a second later.
 */
export type Shutdown = number | "brutal-kill" | "infinity";

/** How a supervisor starts, restarts and ends one child. */
export interface ChildSpecification<C extends Child = Child> {
  /** Names the child within its supervisor; unique there. */
  readonly id: string;
  /**
   * Starts the child; resolves when it is ready. `signal` is aborted when the supervisor is stopped in the
   * meantime: give up if you can. A child that arrives later all the same is ended at once.
   */
  start(signal: AbortSignal): Promise<C> | C;
  /** Default: `permanent`. */
  readonly restart?: Restart | undefined;
  /** Default: 5000 for a worker, `infinity` for a supervisor. */
  readonly shutdownMs?: Shutdown | undefined;
  /** Default: `worker`. */
  readonly type?: "worker" | "supervisor" | undefined;
}

/** Whether a value can be supervised. */
export function isChild(value: unknown): value is Child {
  if (typeof value !== "object" || value === null) return false;
  const it = value as Partial<Child>;
  return (
    typeof it.stop === "function" &&
    typeof it.kill === "function" &&
    typeof (it.exited as Partial<Promise<ExitReason>> | undefined)?.then === "function"
  );
}

/** How a child ends; a rejection, which `exited` must not be, counts as `abnormal`. */
export function exitOf(child: Child): Promise<ExitReason> {
  return child.exited.then(undefined, abnormalExit);
}

/** How long a worker may take to stop by default, in milliseconds. */
export const defaultShutdownMs: number = 5000;

/** How long a child may take to stop: `Infinity` for `infinity`, 0 for `brutal-kill`. */
export function shutdownLimit(specification: Pick<ChildSpecification, "shutdownMs" | "type">): number {
  const { shutdownMs, type } = specification;
  if (shutdownMs === "brutal-kill") return 0;
  if (shutdownMs === "infinity") return Number.POSITIVE_INFINITY;
  return shutdownMs ?? (type === "supervisor" ? Number.POSITIVE_INFINITY : defaultShutdownMs);
}

/** Throws a UsageError for an invalid specification. */
export function checkChildSpecification(specification: ChildSpecification): void {
  const { id, start, restart, shutdownMs, type } = specification;
  if (typeof id !== "string" || id === "")
    throw new UsageError(`a child's id must be a string that is not empty, got ${shown(id)}`);
  if (typeof start !== "function") {
    throw new UsageError(`child ${id}: start must be a function, got ${shown(start)}`);
  }
  checkRestart(restart, `child ${id}`);
  checkShutdown(shutdownMs, `child ${id}`);
  if (type !== undefined && type !== "worker" && type !== "supervisor") {
    throw new UsageError(`child ${id}: type must be "worker" or "supervisor", got ${shown(type)}`);
  }
}

/** Throws a UsageError for an invalid restart policy. */
export function checkRestart(restart: Restart | undefined, owner: string): void {
  if (restart === undefined || ["permanent", "transient", "temporary"].includes(restart)) return;
  throw new UsageError(
    `${owner}: restart must be "permanent", "transient" or "temporary", got ${shown(restart)}`,
  );
}

/** Throws a UsageError for an invalid shutdown time. */
export function checkShutdown(shutdownMs: Shutdown | undefined, owner: string): void {
  if (shutdownMs === undefined || shutdownMs === "brutal-kill" || shutdownMs === "infinity") return;
  if (typeof shutdownMs === "number" && shutdownMs >= 0) return;
  throw new UsageError(
    `${owner}: shutdownMs must be milliseconds from 0, "brutal-kill" or "infinity", got ${shown(shutdownMs)}`,
  );
}
