/** The worker's half of a cluster: starts the server, answers the primary, ends when told or when the primary is gone. */

import nodeCluster from "node:cluster";
import process from "node:process";
import type { ServerInfo, StopReport } from "../server/server-interface.ts";
import { ipAddressToString } from "../transport/address.ts";
import { type Answer, isOurs, type Order, type WorkerAddress, type WorkerFigures } from "./messages.ts";

/** What a cluster needs of the server that each worker runs; glisten's and mist's servers are such. */
export interface ClusterMember {
  /** Asked when the primary is asked for the figures of all workers. */
  info(): ServerInfo;
  /** Called when the primary stops or replaces this worker, and when the primary is gone. */
  stop(options: { readonly deadlineMs: number }): Promise<StopReport>;
  /** Resolves when the server has ended. */
  readonly closed: Promise<unknown>;
}

/**
 * Starts the member and serves the primary's orders. Rejects, after telling the primary, if it cannot start.
 * `stopDeadlineMs` is that of a worker whose primary has died.
 */
export async function runWorker<Member extends ClusterMember>(
  start: () => Promise<Member>,
  stopDeadlineMs: number,
): Promise<Member> {
  // A signal to the whole process group, such as Ctrl-C, must not end a worker that the primary is about to drain.
  process.on("SIGINT", ignore);
  process.on("SIGTERM", ignore);
  let member: Member;
  try {
    member = await start();
  } catch (error) {
    tell({ glisten: "failed", message: error instanceof Error ? error.message : String(error) });
    throw error;
  }
  let isStopping = false;
  let hasStopped = false;
  const stop = (deadlineMs: number): void => {
    // Again: the deadline has come nearer.
    const stopped = member.stop({ deadlineMs });
    if (isStopping) return;
    isStopping = true;
    void stopped.then(({ drained, killed }) => {
      hasStopped = true;
      tell({ glisten: "stopped", report: { drained, killed } });
      if (!process.connected) leave();
    });
  };
  process.on("message", (message) => {
    if (!isOurs(message)) return;
    const order = message as Order;
    if (order.glisten === "stop") stop(order.deadlineMs);
    else if (order.glisten === "info")
      tell({ glisten: "info", id: order.id, figures: figuresOf(member.info()) });
    // The primary may have handed us a connection before it knew that we no longer listen. The channel keeps its
    // order: by now we have given every such connection back.
    else process.disconnect();
  });
  // Node ends a worker at once when its primary is gone, whatever it is doing, unless it disconnects by itself.
  nodeCluster.worker?.once("disconnect", () => void nodeCluster.worker?.disconnect());
  process.once("disconnect", () => (hasStopped ? leave() : stop(stopDeadlineMs)));
  // A server that ended of its own accord has given up: the primary starts another worker.
  void member.closed.then(() => {
    if (!isStopping) process.exit(1);
  });
  tell({ glisten: "ready", address: addressOf(member.info()) });
  return member;
}

function ignore(): void {}

function tell(answer: Answer): void {
  if (process.connected) process.send?.(answer);
}

// What the user's module still has open must not keep a drained worker alive.
function leave(): void {
  process.exit(0);
}

function figuresOf({
  connections,
  states,
  accepted,
  rejected,
  bytesRead,
  bytesWritten,
}: ServerInfo): WorkerFigures {
  return { connections, states, accepted, rejected, bytesRead, bytesWritten };
}

function addressOf(info: ServerInfo): WorkerAddress {
  return "path" in info ? { path: info.path } : { port: info.port, host: ipAddressToString(info.ipAddress) };
}
