// The messages of primary and workers on node:cluster's channel. Other messages on it are left alone.

import type { ServerInfo, StopReport } from "../server/server-interface.ts";

/** What a server's `info` tells beside where it listens. */
export type Counters = Readonly<Record<string, number | Readonly<Record<string, number>>>>;

const places = ["port", "ipAddress", "path", "memory"];

/** The figures of one server: everything it counts, whatever was built on glisten. */
export function countersOf(info: ServerInfo): Counters {
  const counted = Object.entries(info).filter(([name]) => !places.includes(name));
  return Object.fromEntries(counted) as Counters;
}

/** The sum over servers, those groups included that not all of them have. */
export function sumOf(all: readonly Counters[]): Counters {
  const sum: Record<string, number | Record<string, number>> = {};
  for (const [name, count] of all.flatMap((counters) => Object.entries(counters))) {
    if (typeof count === "number") sum[name] = ((sum[name] as number | undefined) ?? 0) + count;
    else sum[name] = sumOf([(sum[name] as Counters | undefined) ?? {}, count]) as Record<string, number>;
  }
  return sum;
}

/** The same counters, at 0. */
export function zeroOf(counters: Counters): Counters {
  const zeros = Object.entries(counters).map(([name, count]) => [
    name,
    typeof count === "number" ? 0 : zeroOf(count),
  ]);
  return Object.fromEntries(zeros);
}

/** From the primary. */
export type Order =
  | { readonly glisten: "stop"; readonly deadlineMs: number; readonly delayMs: number }
  | { readonly glisten: "info"; readonly id: number }
  | { readonly glisten: "leave" };

/** From a worker. */
export type Answer =
  | { readonly glisten: "ready"; readonly address: WorkerAddress; readonly figures: Counters }
  | { readonly glisten: "failed"; readonly message: string }
  | { readonly glisten: "info"; readonly id: number; readonly figures: Counters }
  | { readonly glisten: "stopped"; readonly report: Pick<StopReport, "drained" | "killed"> };

/** Where the workers listen. */
export type WorkerAddress = { readonly port: number; readonly host: string } | { readonly path: string };

/** Whether a message on the channel is one of ours. */
export function isOurs(message: unknown): message is { readonly glisten: string } {
  return typeof message === "object" && message !== null && "glisten" in message;
}
