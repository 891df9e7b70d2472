// The messages of primary and workers on node:cluster's channel. Other messages on it are left alone.

import type { ServerInfo, StopReport } from "../server/server-interface.ts";

/** The counters of `ServerInfo`. */
const counters = ["connections", "accepted", "rejected", "bytesRead", "bytesWritten"] as const;

/** A server's figures without its address. */
export type WorkerFigures = Pick<ServerInfo, (typeof counters)[number] | "states">;

/** The sum over servers; of one server, its figures. */
export function sumOf(all: readonly WorkerFigures[]): WorkerFigures {
  const states: Record<string, number> = {};
  for (const figures of all) {
    for (const [state, count] of Object.entries(figures.states)) states[state] = (states[state] ?? 0) + count;
  }
  const sums = counters.map((name) => [name, all.reduce((sum, figures) => sum + figures[name], 0)]);
  return { ...Object.fromEntries(sums), states } as WorkerFigures;
}

/** From the primary. */
export type Order =
  | { readonly glisten: "stop"; readonly deadlineMs: number; readonly delayMs: number }
  | { readonly glisten: "info"; readonly id: number }
  | { readonly glisten: "leave" };

/** From a worker. */
export type Answer =
  | { readonly glisten: "ready"; readonly address: WorkerAddress }
  | { readonly glisten: "failed"; readonly message: string }
  | { readonly glisten: "info"; readonly id: number; readonly figures: WorkerFigures }
  | { readonly glisten: "stopped"; readonly report: Pick<StopReport, "drained" | "killed"> };

/** Where the workers listen; `memory`: on nothing, each can be connected to by itself only. */
export type WorkerAddress =
  | { readonly port: number; readonly host: string }
  | { readonly path: string }
  | { readonly memory: true };

/** Whether a message on the channel is one of ours. */
export function isOurs(message: unknown): message is { readonly glisten: string } {
  return typeof message === "object" && message !== null && "glisten" in message;
}
