// Why an actor, a supervisor or any other supervised thing ended.

/**
 * Why a process ended.
 *
 * - `normal`: it had nothing more to do.
 * - `shutdown`: its supervisor, or whoever called `stop()`, asked it to end.
 * - `killed`: it was ended without being asked, because it was told to or because a stop deadline passed.
 * - `abnormal`: it failed; `error` is what was thrown, or the reason given to `stopAbnormal`.
 */
export type ExitReason =
  | { readonly type: "normal" }
  | { readonly type: "shutdown" }
  | { readonly type: "killed" }
  | { readonly type: "abnormal"; readonly error: unknown };

/** The reason of a process that ended of its own accord. */
export const normalExit: ExitReason = Object.freeze({ type: "normal" });

/** The reason of a process that was asked to end and did. */
export const shutdownExit: ExitReason = Object.freeze({ type: "shutdown" });

/** The reason of a process that was ended without being asked. */
export const killedExit: ExitReason = Object.freeze({ type: "killed" });

/** The reason of a process that failed. `error` is kept as it is, whatever it is. */
export function abnormalExit(error: unknown): ExitReason {
  return { type: "abnormal", error };
}

/**
 * Whether this end was a failure, which is what makes a supervisor restart a `transient` child:
 * everything but `normal` and `shutdown`.
 */
export function isFailure(reason: ExitReason): boolean {
  return reason.type === "abnormal" || reason.type === "killed";
}

/** One line of text: `normal`, `shutdown`, `killed`, or `abnormal: ` and the error's message. */
export function describeExit(reason: ExitReason): string {
  if (reason.type !== "abnormal") return reason.type;
  const { error } = reason;
  return `abnormal: ${error instanceof Error ? error.message : String(error)}`;
}
