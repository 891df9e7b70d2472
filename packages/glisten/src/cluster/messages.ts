/** What primary and workers say to each other over node:cluster's channel. Everything else on it is left alone. */

import type { ServerInfo, StopReport } from "../server/server-interface.ts";

/** A server's figures without its address, which does not survive the channel as a class would. */
export type WorkerFigures = Pick<
  ServerInfo,
  "connections" | "states" | "accepted" | "rejected" | "bytesRead" | "bytesWritten"
>;

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

/** Where the workers listen. */
export type WorkerAddress = { readonly port: number; readonly host: string } | { readonly path: string };

/** Whether a message on the channel is one of ours. */
export function isOurs(message: unknown): message is { readonly glisten: string } {
  return typeof message === "object" && message !== null && "glisten" in message;
}
