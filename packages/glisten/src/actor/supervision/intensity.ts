// How many restarts are too many: a sliding window over the recent ones.

import { UsageError } from "../../errors.ts";
import { checkNames, shown } from "../../option-names.ts";

/** The most restarts within a time; one more, and the supervisor gives up. */
export interface RestartIntensity {
  /** How many restarts are tolerated; an integer from 0, or `Infinity`. Default: 2. */
  readonly restarts?: number | undefined;
  /** Within how many milliseconds. Default: 5000. */
  readonly withinMs?: number | undefined;
}

/** Counts restarts. */
export class RestartWindow {
  readonly restarts: number;
  readonly withinMs: number;
  #times: number[] = [];

  /** Throws a UsageError for numbers out of range. */
  constructor(intensity: RestartIntensity = {}) {
    checkNames("intensity", intensity, ["restarts", "withinMs"]);
    const { restarts = 2, withinMs = 5000 } = intensity;
    if (restarts !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(restarts) || restarts < 0)) {
      throw new UsageError(`intensity.restarts must be an integer of at least 0, got ${shown(restarts)}`);
    }
    if (!(withinMs > 0)) {
      throw new UsageError(`intensity.withinMs must be a number above 0, got ${shown(withinMs)}`);
    }
    this.restarts = restarts;
    this.withinMs = withinMs;
  }

  /** Counts one restart at the instant `now` (milliseconds); false: that was one too many. */
  add(now: number): boolean {
    if (this.restarts === Number.POSITIVE_INFINITY) return true;
    this.#times = this.#times.filter((time) => now - time <= this.withinMs);
    this.#times.push(now);
    return this.#times.length <= this.restarts;
  }
}

/** A supervisor has given up: its children failed more often than its restart intensity allows. */
export class RestartIntensityError extends Error {
  override readonly name: string = "RestartIntensityError";
  /** The child whose failure was one too many; undefined for a factory's. */
  readonly childId: string | undefined;
  /** How many restarts were tolerated. */
  readonly restarts: number;
  /** Within how many milliseconds. */
  readonly withinMs: number;

  /** `cause` is that child's last error, where it had one. */
  constructor(
    childId: string | undefined,
    { restarts, withinMs }: { readonly restarts: number; readonly withinMs: number },
    cause: unknown,
  ) {
    const child = childId === undefined ? "a child" : `child ${childId}`;
    super(
      `${child} failed again after ${restarts} restarts within ${withinMs} ms: giving up`,
      cause === undefined ? undefined : { cause },
    );
    this.childId = childId;
    this.restarts = restarts;
    this.withinMs = withinMs;
  }
}
