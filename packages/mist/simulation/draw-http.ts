// The HTTP part of a scenario: a server and its clients.

import { drawCount, drawNetwork, drawStop } from "./draw.ts";
import { drawHttp2Client } from "./draw-http2.ts";
import { drawWebSocketClient } from "./draw-websocket.ts";
import { garbage } from "./garbage.ts";
import type { Random } from "./random.ts";
import type {
  Answer,
  Crash,
  HandlerPlan,
  HttpClient,
  HttpScenario,
  Piece,
  PlainClient,
  PlainStep,
  RequestContent,
  RequestStep,
  StreamEnd,
} from "./scenario.ts";

type Numbers = Readonly<Record<string, number>>;

export function drawHttp(random: Random): HttpScenario {
  const limits = drawLimits(random.split("limits"));
  const deadlines = drawDeadlines(random.split("deadlines"));
  const shape = random.split("shape");
  const count = drawCount(shape);
  return {
    limits,
    deadlines,
    poolSize: shape.chance(0.7) ? 10 : shape.integer(1, 3),
    maxConnections: shape.chance(0.9) ? 16_384 : shape.integer(1, 4),
    refusal: shape.chance(0.5),
    onFailure: shape.chance(0.2),
    telemetry: shape.chance(0.3),
    stop: drawStop(random.split("stop")),
    crashes: drawCrashes(random.split("crashes")),
    clients: shape.list(count, (id) => drawClient(random.split(`client ${id}`), id, limits)),
  };
}

export function drawCrashes(random: Random): Crash[] {
  if (!random.chance(0.07)) return [];
  return random.list(random.integer(1, 3), () => ({
    atMs: random.small(0, 3000),
    child: random.pick(["listener", "acceptors"]),
    how: random.pick(["kill", "stop"]),
  }));
}

function drawLimits(random: Random): Numbers {
  const limits: Record<string, number> = {};
  const sometimes = (name: string, ...values: number[]): void => {
    if (random.chance(0.2)) limits[name] = random.pick(values);
  };
  sometimes("maxHead", 150, 300, 1000);
  sometimes("maxTarget", 20, 60);
  sometimes("maxFields", 4, 10);
  sometimes("maxEmptyLines", 0, 1);
  sometimes("maxBuffered", 100, 1000, 10_000);
  sometimes("maxDrain", 0, 500, 20_000);
  sometimes("maxStreams", 1, 3);
  sometimes("maxQueued", 1000, 10_000);
  return limits;
}

function drawDeadlines(random: Random): Numbers {
  const deadlines: Record<string, number> = {};
  const sometimes = (name: string, ...values: number[]): void => {
    if (random.chance(0.3)) deadlines[name] = random.pick(values);
  };
  sometimes("headMs", 300, 1000, 0);
  sometimes("bodyIdleMs", 300, 1000, 0);
  sometimes("minBodyRate", 0, 2000);
  sometimes("keepAliveMs", 300, 1000, 5000);
  sometimes("sendMs", 500, 2000, 0);
  sometimes("minSendRate", 0, 20_000);
  sometimes("stopGraceMs", 0, 20, 500);
  return deadlines;
}

function drawClient(random: Random, id: number, limits: Numbers): HttpClient {
  const kind = random.weighted({ http1: 68, websocket: 18, http2: 14 });
  if (kind === "websocket") return drawWebSocketClient(random, id);
  if (kind === "http2") return drawHttp2Client(random, id);
  return drawPlainClient(random, id, limits);
}

/** Up to how many bytes a client of this network sends and takes: links that are slow carry less. */
export function budgetOf({ network }: Pick<PlainClient, "network">): {
  readonly up: number;
  readonly down: number;
} {
  return { up: network.segmentBytes * 60, down: network.readBytes === 0 ? 300_000 : network.readBytes * 100 };
}

function drawPlainClient(random: Random, id: number, limits: Numbers): PlainClient {
  const network = drawNetwork(random.split("network"));
  const budget = budgetOf({ network });
  const steps: PlainStep[] = [];
  const requests = random.weighted({ one: 40, few: 45, many: 15 });
  const count = requests === "one" ? 1 : requests === "few" ? random.integer(2, 4) : random.integer(5, 12);
  const isPipelined = random.chance(0.4);
  for (let i = 0; i < count; i++) {
    steps.push(drawRequest(random.split(`request ${i}`), i, limits, budget));
    if (!isPipelined || random.chance(0.2)) steps.push({ type: "await" });
    if (random.chance(0.15)) steps.push({ type: "pause", ms: random.small(0, 4000) });
    if (random.chance(0.05)) steps.push({ type: "stall", ms: random.small(1, 4000) });
  }
  const end = random.weighted({ close: 40, stay: 35, garbage: 8, end: 9, reset: 8 });
  if (end === "stay") steps.push({ type: "stay" });
  else if (end === "garbage") steps.push({ type: "garbage", index: random.integer(0, garbage.length - 1) });
  else if (end === "end") steps.push({ type: "end" });
  else if (end === "reset") steps.push({ type: "pause", ms: random.small(0, 500) }, { type: "reset" });
  return { kind: "http1", id, atMs: random.chance(0.5) ? 0 : random.small(0, 3000), network, steps };
}

function drawEmptyLines(random: Random, { maxEmptyLines }: Numbers): number {
  if (maxEmptyLines !== undefined && random.chance(0.3)) return near(random, maxEmptyLines);
  return random.chance(0.95) ? 0 : random.integer(1, 3);
}

/** A number at or near a limit. */
function near(random: Random, limit: number): number {
  return Math.max(0, limit + random.integer(-2, 2));
}

export function drawRequest(
  random: Random,
  id: number,
  limits: Numbers,
  budget: { readonly up: number; readonly down: number },
): RequestStep {
  const hasBody = random.chance(0.35);
  const body = hasBody
    ? drawContent(
        random.split("content"),
        Math.min(budget.up, budget.down < 300_000 ? budget.down : budget.up),
      )
    : undefined;
  const version = random.chance(0.94) ? "1.1" : "1.0";
  const edges = random.split("edges");
  const { maxHead, maxTarget, maxFields } = limits;
  return {
    type: "request",
    id,
    method: hasBody
      ? random.pick(["POST", "PUT"])
      : random.weighted({ GET: 74, HEAD: 14, DELETE: 6, OPTIONS: 6 }),
    version,
    connection: random.chance(0.9) ? undefined : random.pick(["close", "keep-alive"]),
    headBytes: maxHead !== undefined && edges.chance(0.3) ? near(edges, maxHead) : undefined,
    targetBytes: maxTarget !== undefined && edges.chance(0.3) ? near(edges, maxTarget) : undefined,
    fieldLines: maxFields !== undefined && edges.chance(0.3) ? near(edges, maxFields) : undefined,
    emptyLines: drawEmptyLines(edges, limits),
    body: version === "1.0" && body?.chunks !== undefined ? { ...body, chunks: undefined } : body,
    handler: drawHandler(random.split("handler"), body, budget.down),
  };
}

function drawContent(random: Random, most: number): RequestContent {
  const isHuge = most > 3_000_000 && random.chance(0.02);
  const size = isHuge
    ? 1_500_000
    : random.chance(0.1)
      ? 0
      : random.small(1, Math.min(most, random.pick([20, 100, 1000, 5000, 200_000])));
  return {
    size,
    chunks: random.chance(0.5)
      ? random.list(random.integer(1, 3), () => random.small(Math.ceil(size / 50) + 1, size + 10))
      : undefined,
    extension: random.chance(0.1),
    trailers: random.chance(0.2),
    expect: random.chance(0.15),
    pause: random.chance(0.15) ? { atByte: random.integer(0, size), ms: random.small(0, 3000) } : undefined,
    cutAt: random.chance(0.05) ? random.integer(0, size) : undefined,
  };
}

export function drawHandler(random: Random, body: RequestContent | undefined, down: number): HandlerPlan {
  const size = body?.size ?? 0;
  const read =
    body === undefined
      ? random.chance(0.9)
        ? "nothing"
        : "all"
      : random.weighted({ nothing: 25, all: 30, stream: 25, some: 12, late: 8 });
  return {
    waitMs:
      random.weighted({ call: 50, promise: 20, late: 30 }) === "late"
        ? random.small(1, 2000)
        : random.pick([-1, 0]),
    read,
    size:
      read === "all"
        ? random.chance(0.3)
          ? near(random, size)
          : 1_000_000
        : Math.max(1, random.small(Math.ceil(size / 30), size + 1)),
    pauseMs: random.chance(0.8) ? 0 : random.small(0, 300),
    informational: random.chance(0.05),
    waitUntilMs: random.chance(0.06) ? random.small(0, 4000) : undefined,
    waitUntilFails: random.chance(0.3),
    useSignal: random.chance(0.3),
    answer: drawAnswer(random.split("answer"), body !== undefined && read === "nothing", down),
  };
}

function drawAnswer(random: Random, mayEcho: boolean, down: number): Answer {
  const type = random.weighted({
    bytes: 40,
    empty: 8,
    iterable: 14,
    source: 10,
    chunked: 9,
    events: 7,
    echo: mayEcho ? 20 : 0,
    throw: 6,
    nothing: 1,
    never: 2,
  });
  const size = (): number =>
    random.small(0, Math.min(down, random.pick([50, 200, 1000, 10_000, 200, 300_000])));
  switch (type) {
    case "bytes":
      return {
        type,
        size: size(),
        status: random.pick([200, 200, 200, 201, 404]),
        close: random.chance(0.04),
        text: random.chance(0.3),
      };
    case "empty":
      return { type, status: random.pick([200, 204, 304, 404]) };
    case "iterable":
    case "source":
    case "chunked":
      return {
        type,
        pieces: drawPieces(random, size(), type === "chunked" ? 0 : down),
        end: drawEnd(random),
        trailers: random.chance(0.15),
        sized: random.chance(0.5),
      };
    case "events":
      return {
        type,
        events: drawPieces(random, Math.min(size(), 5000)),
        keepAliveMs: random.pick([0, 200, 15_000]),
        end: drawEnd(random),
      };
    case "throw":
      return { type, status: random.pick([400, 403, 418, 503]), http: random.chance(0.5) };
    default:
      return { type };
  }
}

function drawEnd(random: Random): StreamEnd {
  return random.weighted({ end: 88, fail: 8, never: 4 });
}

function drawPieces(random: Random, total: number, down = 0): Piece[] {
  // Far more than all buffers hold.
  if (down >= 300_000 && random.chance(0.02)) return random.list(40, () => ({ waitMs: 0, size: 65_000 }));
  const count = random.small(0, 20);
  const isSlow = random.chance(0.4);
  return random.list(count, () => ({
    waitMs: isSlow ? random.small(0, 600) : random.weighted({ call: 3, promise: 1 }) === "call" ? -1 : 0,
    size: Math.max(1, random.small(1, Math.ceil(total / count))),
  }));
}
