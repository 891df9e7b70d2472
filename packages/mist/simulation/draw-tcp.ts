// The TCP part of a scenario: a glisten server with a loop of its own, and its clients.

import { drawCount, drawNetwork, drawStop } from "./draw.ts";
import { drawCrashes } from "./draw-http.ts";
import type { Random } from "./random.ts";
import type { Network, TcpClient, TcpPlan, TcpScenario, TcpStep } from "./scenario.ts";

export function drawTcp(random: Random): TcpScenario {
  const shape = random.split("shape");
  return {
    poolSize: shape.chance(0.6) ? 10 : shape.integer(1, 3),
    maxConnections: shape.chance(0.9) ? 16_384 : shape.integer(1, 4),
    maxQueue: shape.chance(0.8) ? 1024 : shape.integer(0, 3),
    activeState: shape.pick(["once", "once", "active", { count: 2 }, { count: 5 }]),
    sendMs: shape.pick([500, 3000, 90_000]),
    minSendRate: shape.pick([0, 240, 240, 20_000]),
    lingerMs: shape.pick([100, 2000]),
    stallMs: shape.pick([300, 10_000]),
    initTimeoutMs: shape.pick([300, 10_000]),
    stop: drawStop(random.split("stop")),
    crashes: drawCrashes(random.split("crashes")),
    clients: shape.list(drawCount(shape), (id) => drawClient(random.split(`client ${id}`), id)),
  };
}

function drawClient(random: Random, id: number): TcpClient {
  const network = drawNetwork(random.split("network"));
  const most = Math.min(
    network.segmentBytes * 60,
    network.readBytes === 0 ? 1_000_000 : network.readBytes * 60,
  );
  const steps: TcpStep[] = [];
  for (let i = random.small(1, 12); i > 0; i--) {
    steps.push({
      type: "send",
      size: random.small(1, Math.min(most, random.pick([20, 20, 3000, 3000, 100_000, 1_000_000]))),
    });
    if (random.chance(0.3)) steps.push({ type: "await" });
    if (random.chance(0.2)) steps.push({ type: "pause", ms: random.small(0, 2000) });
    if (random.chance(0.08)) steps.push({ type: "stall", ms: random.small(0, 4000) });
  }
  const end = random.weighted({ end: 50, stay: 38, reset: 12 });
  if (end !== "end") steps.push({ type: end });
  return {
    id,
    atMs: random.chance(0.5) ? 0 : random.small(0, 3000),
    network,
    steps,
    server: drawPlan(random.split("server"), drawGreeting(random.split("greeting"), network)),
  };
}

/** What the server says first: more than the buffers hold, for those who read slowly. */
function drawGreeting(random: Random, { readBytes }: Network): number {
  if (random.chance(0.5)) return 0;
  if (readBytes === 0) return random.small(1, 300_000);
  return Math.min(readBytes * 300, random.integer(1, 500_000));
}

function drawPlan(random: Random, greeting: number): TcpPlan {
  const rarely = (): number => (random.chance(0.05) ? random.integer(0, 6) : -1);
  const answer = random.weighted({ call: 50, promise: 20, late: 30 });
  let at = 0;
  return {
    initMs: random.chance(0.6) ? -1 : random.chance(0.5) ? 0 : random.small(1, 1500),
    initFails: random.chance(0.05),
    answerMs: answer === "call" ? -1 : answer === "promise" ? 0 : random.small(1, 500),
    greeting,
    awaitsSends: random.chance(0.5),
    messages: random.chance(0.5)
      ? []
      : random.list(random.small(1, 20), () => {
          at += random.chance(0.3) ? 0 : random.small(0, 500);
          return at;
        }),
    failsAt: rarely(),
    stopsAt: rarely(),
    stopsAbnormallyAt: rarely(),
    resetsAt: rarely(),
    endsAt: rarely(),
    closeMs: random.chance(0.7) ? -1 : random.small(0, 1500),
    closeFails: random.chance(0.05),
    onShutdown: random.weighted({ none: 30, stop: 40, "go-on": 15, late: 15 }),
  };
}
