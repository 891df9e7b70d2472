// Several processes that serve one address: glisten's cluster, given mist's builders.

import nodeCluster from "node:cluster";
import * as glisten from "@x/glisten";
import { Builder } from "./mist.ts";
import { theHub } from "./relay/cluster/hub.ts";
import type { Server } from "./running-server.ts";

/**
 * Runs this module in several processes that serve one address, with crashed workers restarted, rolling reloads and
 * one stop for all. In the primary, forks the workers; in each worker, calls `build` and starts what it returns.
 *
 * @param build a builder, or a server that has been started. Called in workers only.
 * @throws StartError (rejects) if a worker cannot start, UsageError for an unknown or wrong option.
 *
 * @example
 * ```ts
 * const running = await mist.cluster(() => mist.new(handler).port(4000), { workers: 2 });
 * if (running.role === "primary") process.once("SIGTERM", () => running.stop());
 * ```
 */
export function cluster(
  build: () => Builder | Promise<Server>,
  options?: glisten.ClusterOptions,
): Promise<glisten.ClusterPrimary<Server> | glisten.ClusterWorker<Server>> {
  // Workers may have topics with `clusterRelay` although the primary has none.
  if (!nodeCluster.isWorker) theHub();
  return glisten.cluster(async () => {
    const built = await build();
    return built instanceof Builder ? built.start() : built;
  }, options);
}
