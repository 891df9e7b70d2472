// The part of a scenario without sockets: supervisors, and children that fail.

import type { Random } from "./random.ts";
import type { ActorScenario, ChildPlan, MessagePlan, TreePlan } from "./scenario.ts";

export function drawActors(random: Random): ActorScenario {
  const count = random.chance(0.8) ? 1 : random.integer(2, 3);
  return { trees: random.list(count, (id) => drawTree(random.split(`tree ${id}`), id)) };
}

function drawTree(random: Random, id: number): TreePlan {
  const stopAt = random.small(0, 6000);
  const deadlineMs = random.chance(0.4) ? undefined : random.pick([0, 100, 1000, 6000]);
  return {
    id,
    strategy: random.pick(["one-for-one", "rest-for-one", "one-for-all"]),
    restarts: random.pick([0, 1, 2, 2, 5, 100]),
    withinMs: random.pick([200, 1000, 5000]),
    children: random.list(random.integer(1, 5), (child) =>
      drawChild(random.split(`child ${child}`), child, stopAt),
    ),
    stop: {
      atMs: stopAt,
      how: random.chance(0.85) ? "stop" : "kill",
      deadlineMs,
      again: random.chance(0.15)
        ? { afterMs: random.small(0, 1500), deadlineMs: random.small(0, 1000) }
        : undefined,
    },
  };
}

function drawChild(random: Random, id: number, stopAt: number): ChildPlan {
  const shutdownMs = random.pick([5000, 50, 500, "brutal-kill", "infinity"] as const);
  // One that never ends, and that nobody ever kills, is its owner's fault.
  const mayHang = shutdownMs !== "infinity";
  return {
    id,
    restart: random.pick(["permanent", "permanent", "transient", "temporary"]),
    shutdownMs,
    initMs: random.chance(0.6) ? -1 : random.chance(0.5) ? 0 : random.small(1, 900),
    failingStarts: random.chance(0.85) ? [] : [random.integer(0, 3), random.integer(1, 3)],
    handleMs: random.chance(0.5) ? -1 : random.chance(0.4) ? 0 : random.small(1, 300),
    closeMs: random.chance(0.6) ? -1 : random.small(0, 700),
    maxMailbox: random.chance(0.7) ? undefined : random.integer(1, 4),
    overflow: random.pick(["drop-oldest", "drop-newest", "stop"]),
    factory: random.chance(0.15),
    messages: random.list(random.chance(0.1) ? random.integer(20, 70) : random.small(0, 25), () =>
      drawMessage(random, stopAt, mayHang),
    ),
  };
}

function drawMessage(random: Random, stopAt: number, mayHang: boolean): MessagePlan {
  return {
    atMs: random.chance(0.4) ? random.integer(0, 3) : random.integer(0, stopAt + 500),
    does: random.weighted({
      count: 50,
      throw: 7,
      reject: 4,
      stop: 4,
      "stop-abnormal": 4,
      call: 15,
      "call-late": 5,
      forward: 10,
      never: mayHang ? 1 : 0,
    }),
    timeoutMs: random.pick([0, 20, 500, 30_000]),
  };
}
