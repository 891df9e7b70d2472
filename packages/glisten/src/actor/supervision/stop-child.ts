// Ending one child: ask, wait, kill.

import { type ExitReason, killedExit } from "../exit.ts";
import { within } from "../timer.ts";
import { type Child, type ChildSpecification, exitOf, shutdownLimit } from "./child-specification.ts";

/** How long a killed child is waited for before it is given up as lost, in milliseconds. */
const killGraceMs = 1000;

/** How much longer a supervisor is waited for, which keeps the same deadline itself, in milliseconds. */
const supervisorGraceMs = 250;

/** How a child ended. `asked`: it ended by itself when told to. */
export interface Stopped {
  readonly reason: ExitReason;
  readonly killed: boolean;
}

/**
 * Asks a child to stop, and kills it when the limit of its specification passes (0: without asking). Never rejects: a
 * child whose `stop` fails is killed.
 *
 * `remainingMs` is how long its supervisor has left. It is what the child is told when that is less, and no more than
 * that: what ends the wait then is `hurry`, aborted at the deadline all children share. With a second timer for the
 * same moment here, the child could be killed a millisecond before the deadline has come for the others.
 *
 * A supervisor kills what is left of its own children at that same moment, and is about to tell: it is killed only if
 * it does not.
 */
export async function stopChild(
  child: Child,
  specification: Pick<ChildSpecification, "shutdownMs" | "type">,
  remainingMs: number,
  hurry: AbortSignal,
): Promise<Stopped> {
  const limitMs = shutdownLimit(specification);
  const toldMs = Math.min(limitMs, remainingMs);
  if (toldMs > 0) {
    const exited = Promise.race([exitOf(child), askToStop(child, toldMs)]);
    let reason = await within(exited, limitMs, hurry);
    if (reason === undefined && specification.type === "supervisor") {
      void askToStop(child, 0);
      reason = await within(exitOf(child), supervisorGraceMs);
    }
    if (reason !== undefined) return { reason, killed: reason.type === "killed" };
  }
  killChild(child);
  const reason = await within(exitOf(child), killGraceMs);
  return { reason: reason ?? killedExit, killed: true };
}

/** Kills a child, whatever it throws. */
export function killChild(child: Child): void {
  try {
    child.kill();
  } catch {
    // The child is given up; its exit is still awaited.
  }
}

/** Resolves with undefined when asking failed; never with the answer, for `exited` is what counts. */
function askToStop(child: Child, limitMs: number): Promise<undefined> {
  return new Promise((resolve) => {
    try {
      child.stop(limitMs).then(undefined, () => resolve(undefined));
    } catch {
      resolve(undefined);
    }
  });
}
