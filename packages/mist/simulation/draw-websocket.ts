// A WebSocket client of a scenario, and the handler it meets.

import { drawNetwork } from "./draw.ts";
import type { Random } from "./random.ts";
import type { BadFrame, Piece, WebSocketClient, WebSocketPlan, WebSocketStep } from "./scenario.ts";

const badFrames: readonly BadFrame[] = [
  "unmasked",
  "reserved-bit",
  "reserved-opcode",
  "fragmented-ping",
  "long-ping",
  "continuation-first",
  "text-within-message",
  "not-utf8",
  "close-one-byte",
  "close-bad-code",
];

export function drawWebSocketClient(random: Random, id: number): WebSocketClient {
  const network = drawNetwork(random.split("network"));
  const server = drawPlan(random.split("server"));
  const most = Math.min(
    network.segmentBytes * 30,
    network.readBytes === 0 ? 200_000 : network.readBytes * 30,
    server.compression ? 4000 : 200_000,
  );
  const steps: WebSocketStep[] = [];
  const count = random.small(0, 14);
  for (let i = 0; i < count; i++) {
    const edge = server.maxMessageBytes < 10_000 && random.chance(0.2);
    steps.push({
      type: "message",
      id: i,
      text: !edge && random.chance(0.5),
      size: edge
        ? server.maxMessageBytes + random.integer(-1, 1)
        : random.small(0, Math.min(most, server.maxMessageBytes / 4, random.pick([20, 100, 2000, 200_000]))),
      frames: random.chance(0.7) ? 1 : random.integer(1, 5),
      ping: random.chance(0.15),
    });
    if (random.chance(0.4)) steps.push({ type: "await" });
    if (random.chance(0.12)) steps.push({ type: "ping", size: random.integer(0, 125) });
    if (random.chance(0.12)) steps.push({ type: "pause", ms: random.small(0, 3000) });
    if (random.chance(0.05)) steps.push({ type: "stall", ms: random.small(0, 3000) });
  }
  const end = random.weighted({ close: 45, stay: 30, bad: 12, end: 6, reset: 7 });
  if (end === "close") steps.push({ type: "close", code: random.pick([undefined, 1000, 1001, 3000, 4999]) });
  else if (end === "stay") steps.push({ type: "stay" });
  else if (end === "bad") steps.push({ type: "bad", how: random.pick(badFrames) });
  else steps.push({ type: end });
  return {
    kind: "websocket",
    id,
    atMs: random.chance(0.5) ? 0 : random.small(0, 3000),
    network,
    steps,
    polite: random.chance(0.92),
    server,
  };
}

function drawPlan(random: Random): WebSocketPlan {
  const rarely = (): number => (random.chance(0.05) ? random.integer(0, 5) : -1);
  const answer = random.weighted({ call: 50, promise: 20, late: 30 });
  return {
    initMs: random.chance(0.6) ? -1 : random.chance(0.5) ? 0 : random.small(1, 1000),
    initFails: random.chance(0.04),
    answerMs: answer === "call" ? -1 : answer === "promise" ? 0 : random.small(1, 600),
    awaitsSends: random.chance(0.4),
    push: random.chance(0.5) ? [] : drawPushes(random),
    failsAt: rarely(),
    stopsAt: rarely(),
    closesAt: rarely(),
    closeMs: random.chance(0.8) ? -1 : random.small(0, 1000),
    pingIntervalMs: random.pick([0, 300, 2000, 30_000]),
    pongTimeoutMs: random.pick([500, 15_000]),
    closeTimeoutMs: random.pick([400, 5000]),
    idleTimeoutMs: random.chance(0.85) ? 0 : random.pick([600, 3000]),
    maxMessageBytes: random.chance(0.8) ? 16 * 1024 * 1024 : random.pick([10, 500, 5000]),
    compression: random.chance(0.2),
  };
}

function drawPushes(random: Random): Piece[] {
  return random.list(random.small(1, 15), () => ({
    waitMs: random.chance(0.3) ? 0 : random.small(0, 800),
    size: random.small(0, 3000),
  }));
}
