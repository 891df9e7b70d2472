// The worker's half of a cluster: starts the server, answers the primary, and ends when it is told to or when the
// primary is gone.
//
// How a worker ends: its server stops, `onStop` is awaited, the channel to the primary closes. Then the process ends as
// any other does, when nothing keeps its event loop alive; at the stop deadline it exits in any case.

import nodeCluster from "node:cluster";
import process from "node:process";
import { ignore, UsageError } from "../errors.ts";
import type { ServerInfo, StopOptions, StopReport } from "../server/server-interface.ts";
import { ipAddressToString } from "../transport/address.ts";
import { type Answer, countersOf, isOurs, type Order, type WorkerAddress } from "./messages.ts";

/** What a cluster needs of the server that each worker runs; glisten's and mist's servers are such. */
export interface ClusterMember {
  /** Asked when the primary is asked for the figures of all workers. */
  info(): ServerInfo;
  /** Called when the primary stops or replaces this worker, and when the primary is gone. */
  stop(options: StopOptions): Promise<StopReport>;
  /** Resolves when the server has ended. */
  readonly closed: Promise<unknown>;
}

/** What a worker is told by the options of its cluster. */
export interface WorkerSettings {
  /** How long it drains when its primary has died, in milliseconds. */
  readonly stopDeadlineMs: number;
  /** Cleans up behind the server. */
  readonly onStop: (() => void | Promise<void>) | undefined;
}

/** How long `onStop` has at least: a server that needs all of the deadline must not cost the cleanup. */
const leastCleanupMs = 1_000;

/** Starts the member and serves the primary's orders. Rejects, after telling the primary, if it cannot start. */
export async function runWorker<Member extends ClusterMember>(
  start: () => Promise<Member>,
  settings: WorkerSettings,
): Promise<Member> {
  // A signal to the whole process group, such as Ctrl-C, must not end a worker that the primary is about to drain.
  process.on("SIGINT", ignore);
  process.on("SIGTERM", ignore);
  let member: Member;
  let address: WorkerAddress;
  try {
    member = await start();
    address = addressOf(member.info());
  } catch (error) {
    tell({ glisten: "failed", message: error instanceof Error ? error.message : String(error) });
    throw error;
  }
  new WorkerLife(member, settings).begin(address);
  return member;
}

class WorkerLife {
  readonly #member: ClusterMember;
  readonly #settings: WorkerSettings;
  #endsAt = Number.POSITIVE_INFINITY;
  #isStopping = false;
  /** The server has stopped and `onStop` is done with. */
  #hasStopped = false;

  constructor(member: ClusterMember, settings: WorkerSettings) {
    this.#member = member;
    this.#settings = settings;
  }

  begin(address: WorkerAddress): void {
    process.on("message", (message) => {
      if (isOurs(message)) this.#obey(message as Order);
    });
    // Node ends a worker at once when its primary is gone, whatever it is doing, unless it disconnects by itself.
    nodeCluster.worker?.once("disconnect", () => void nodeCluster.worker?.disconnect());
    process.once("disconnect", () => {
      if (this.#hasStopped) this.#leave();
      else this.#stop(this.#settings.stopDeadlineMs, 0);
    });
    void this.#member.closed.then(() => this.#ended());
    tell({ glisten: "ready", address, figures: countersOf(this.#member.info()) });
  }

  #obey(order: Order): void {
    if (order.glisten === "stop") this.#stop(order.deadlineMs, order.delayMs);
    else if (order.glisten === "info") {
      tell({ glisten: "info", id: order.id, figures: countersOf(this.#member.info()) });
    }
    // "leave". The primary may have handed us a connection before it knew that we no longer listen. The channel keeps
    // its order: by now we have given every such connection back.
    else process.disconnect();
  }

  /** Again: the end may have come nearer. */
  #stop(deadlineMs: number, delayMs: number): void {
    this.#endsAt = Math.min(this.#endsAt, performance.now() + delayMs + deadlineMs);
    const stopped = this.#member.stop({ deadlineMs, delayMs });
    if (this.#isStopping) return;
    this.#isStopping = true;
    void stopped.then(async ({ drained, killed }) => {
      await this.#cleanUp();
      this.#hasStopped = true;
      tell({ glisten: "stopped", report: { drained, killed } });
      if (!process.connected) this.#leave();
    });
  }

  /** A server that ends of its own accord has given up: the primary starts another worker. */
  async #ended(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#endsAt = performance.now() + this.#settings.stopDeadlineMs;
    await this.#cleanUp();
    process.exit(1);
  }

  async #cleanUp(): Promise<void> {
    const { onStop } = this.#settings;
    if (onStop === undefined) return;
    const timeoutMs = Math.max(leastCleanupMs, this.#endsAt - performance.now());
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the stop deadline passed before it settled")), timeoutMs);
    });
    try {
      await Promise.race([onStop(), late]);
    } catch (error) {
      console.error(`worker ${process.pid}: onStop failed:`, error);
      process.exitCode = 1;
    } finally {
      clearTimeout(timer);
    }
  }

  #leave(): void {
    const leftMs = Math.max(0, this.#endsAt - performance.now());
    setTimeout(() => {
      console.error(`worker ${process.pid}: something keeps it alive at the stop deadline; exiting`);
      process.exit();
    }, leftMs).unref();
  }
}

function tell(answer: Answer): void {
  if (process.connected) process.send?.(answer);
}

function addressOf(info: ServerInfo): WorkerAddress {
  if ("memory" in info)
    throw new UsageError("the workers of a cluster need an address to share: memory is none");
  return "path" in info ? { path: info.path } : { port: info.port, host: ipAddressToString(info.ipAddress) };
}
