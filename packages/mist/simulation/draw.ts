// From a seed to a scenario. Small as a rule, with a heavy tail; numbers gather around limits and around each other.

import { drawActors } from "./draw-actors.ts";
import { drawHttp } from "./draw-http.ts";
import { drawTcp } from "./draw-tcp.ts";
import { Random } from "./random.ts";
import type { Fault, Network, Scenario, Stop } from "./scenario.ts";

/** The scenario of a seed. */
export function draw(seed: number): Scenario {
  const random = new Random(seed);
  const what = random.weighted({ http: 70, tcp: 14, actors: 12, all: 4 });
  return {
    seed,
    http: what === "http" || what === "all" ? drawHttp(random.split("http")) : undefined,
    tcp: what === "tcp" || what === "all" ? drawTcp(random.split("tcp")) : undefined,
    actors: what === "actors" || what === "all" ? drawActors(random.split("actors")) : undefined,
  };
}

/** How many there are: a few, or many. */
export function drawCount(random: Random): number {
  const size = random.weighted({ few: 86, some: 12, many: 2 });
  return size === "few"
    ? random.integer(1, 2)
    : size === "some"
      ? random.integer(3, 8)
      : random.integer(9, 50);
}

export function drawNetwork(random: Random): Network {
  const segments = random.weighted({ large: 50, packets: 25, small: 25 });
  const isSlow = random.chance(0.25);
  return {
    seed: random.word(),
    latencyMs: random.chance(0.5) ? 0 : random.small(0, 200),
    jitterMs: random.chance(0.5) ? 0 : random.small(0, 50),
    segmentBytes: segments === "large" ? 65_536 : segments === "packets" ? 1460 : random.small(1, 200),
    readBytes: isSlow ? random.pick([10, 100, 1000, 20_000]) : 0,
    readEveryMs: isSlow ? random.small(0, 100) : 0,
    fault: random.chance(0.14) ? drawFault(random) : undefined,
  };
}

function drawFault(random: Random): Fault {
  return {
    way: random.pick(["up", "down"]),
    atByte: random.small(0, 5000),
    how: random.weighted({ reset: 3, vanish: 2, destroy: 2 }),
  };
}

export function drawStop(random: Random): Stop {
  return {
    atMs: random.chance(0.1)
      ? random.integer(0, 5)
      : random.chance(0.9)
        ? random.integer(0, 3000)
        : random.integer(0, 90_000),
    how: random.weighted({ stop: 86, kill: 8, dispose: 6 }),
    delayMs: random.chance(0.8) ? 0 : random.small(0, 1000),
    deadlineMs: random.pick([0, 20, 300, 1500, 5000, 10_000, 10_000]),
    again: random.chance(0.1)
      ? {
          afterMs: random.small(0, 1500),
          deadlineMs: random.small(0, 3000),
          how: random.weighted({ stop: 4, kill: 1 }),
        }
      : undefined,
  };
}
