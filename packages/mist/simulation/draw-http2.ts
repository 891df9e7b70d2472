// An HTTP/2 client of a scenario.

import { drawNetwork } from "./draw.ts";
import { budgetOf, drawRequest } from "./draw-http.ts";
import type { Random } from "./random.ts";
import type { Http2Client, Http2Step, RequestStep } from "./scenario.ts";

export function drawHttp2Client(random: Random, id: number): Http2Client {
  const network = drawNetwork(random.split("network"));
  const window = random.pick([65_535, 65_535, 1_000_000, 500, 0]);
  const { up, down } = budgetOf({ network });
  // Each window is a round trip.
  const budget = { up, down: window < 1000 ? Math.min(down, 30_000) : down };
  const steps: Http2Step[] = [];
  const count = random.chance(0.3) ? 1 : random.small(2, 14);
  for (let i = 0; i < count; i++) {
    steps.push(asStream(drawRequest(random.split(`request ${i}`), i, {}, budget)));
    if (random.chance(0.25)) steps.push({ type: "await" });
    if (random.chance(0.15)) steps.push({ type: "pause", ms: random.small(0, 2500) });
    if (random.chance(0.06)) steps.push({ type: "stall", ms: random.small(1, 3000) });
    if (random.chance(0.1)) steps.push({ type: "cancel", id: random.integer(0, i) });
    if (random.chance(0.08)) steps.push({ type: "ping" });
  }
  const end = random.weighted({ close: 50, stay: 35, end: 7, reset: 8 });
  if (end !== "close") steps.push({ type: end });
  return {
    kind: "http2",
    id,
    atMs: random.chance(0.5) ? 0 : random.small(0, 3000),
    network,
    window,
    steps,
  };
}

/** What HTTP/1 alone has is left out. */
function asStream(step: RequestStep): RequestStep {
  const { body } = step;
  return {
    ...step,
    version: "1.1",
    connection: undefined,
    emptyLines: 0,
    body: body === undefined ? undefined : { ...body, expect: false, extension: false },
  };
}
