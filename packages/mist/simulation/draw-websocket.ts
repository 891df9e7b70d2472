import type { Random } from "./random.ts";
import type { HttpClient } from "./scenario.ts";
export function drawWebSocketClient(_random: Random, id: number, _limits?: unknown): HttpClient {
  return { kind: "http1", id, atMs: 0, network: { seed: 1, latencyMs: 0, jitterMs: 0, segmentBytes: 1000, readBytes: 0, readEveryMs: 0 }, steps: [] };
}
