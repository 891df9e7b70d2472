// Starting a supervisor, by itself or as the child of another.

import { UsageError } from "../../errors.ts";
import { checkFunctions, checkNames, shown } from "../../option-names.ts";
import { type ChildSpecification, checkChildSpecification } from "./child-specification.ts";
import { StaticSupervisor } from "./static-supervisor.ts";
import type { Supervisor, SupervisorOptions } from "./supervisor.ts";

/**
 * Starts a supervisor and its children. Rejects with a `SupervisorStartError` when one does not start; those
 * that had started are ended first, in reverse order. Rejects with a UsageError for invalid options, such as
 * two children of one id.
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
 * Throws a UsageError for invalid options.
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
  checkNames("supervisor", options, ["strategy", "children", "intensity", "onEvent", "signal"]);
  checkFunctions(options, [], ["onEvent"]);
  const { strategy, children } = options;
  if (!Array.isArray(children))
    throw new UsageError(`children must be an array of child specifications, got ${shown(children)}`);
  if (strategy !== undefined && !["one-for-one", "rest-for-one", "one-for-all"].includes(strategy)) {
    throw new UsageError(
      `strategy must be "one-for-one", "rest-for-one" or "one-for-all", got ${shown(strategy)}`,
    );
  }
  const ids = new Set<string>();
  for (const specification of children) {
    checkChildSpecification(specification);
    if (ids.has(specification.id)) throw new UsageError(`two children have the id ${specification.id}`);
    ids.add(specification.id);
  }
}
