// One run: a scenario, from its start to nothing being left of it.

import { createHash } from "node:crypto";
import { useClock } from "@x/glisten/testing";
import { forgetFields } from "../src/http2/hpack/remembered-fields.ts";
import { runActors } from "./actors.ts";
import type { Scenario } from "./scenario.ts";
import { runHttp } from "./server-http.ts";
import { runTcp } from "./server-tcp.ts";
import { VirtualTime } from "./virtual-time.ts";
import { type Finding, World } from "./world.ts";

/** What came of a run. */
export interface Result {
  readonly findings: readonly Finding[];
  readonly transcript: readonly string[];
  readonly elapsedMs: number;
  readonly events: number;
  readonly counts: ReadonlyMap<string, number>;
}

/** Equal for equal runs. */
export function hashOf({ transcript }: Result): string {
  return createHash("sha1").update(transcript.join("\n")).digest("hex").slice(0, 16);
}

/** Longer than any scenario takes. */
const longestMs = 600_000;

/** A handler of the user's that outlives its connection has 5 s. */
const graceMs = 5500;

let current: World | undefined;

function unhandled(error: unknown): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (current === undefined) throw error;
  current.fail("nothing unhandled is thrown", what);
}

process.on("unhandledRejection", unhandled);
process.on("uncaughtException", unhandled);

process.on("warning", (warning) => {
  current?.fail("nothing unhandled is thrown", `a warning: ${warning.stack}`);
});

/** Real time and real timers have no place in a run. */
function forbidReality(world: World): () => void {
  const { setTimeout, setInterval, setImmediate } = globalThis;
  const { now } = performance;
  const { now: wall } = Date;
  const refuse = (name: string): never => {
    world.fail("time comes from the clock", new Error(name).stack ?? name);
    throw new Error(`${name} in a simulation`);
  };
  Object.assign(globalThis, {
    setTimeout: () => refuse("setTimeout"),
    setInterval: () => refuse("setInterval"),
    setImmediate: () => refuse("setImmediate"),
  });
  performance.now = () => refuse("performance.now");
  Date.now = () => refuse("Date.now");
  return () => {
    Object.assign(globalThis, { setTimeout, setInterval, setImmediate });
    performance.now = now;
    Date.now = wall;
  };
}

/** Runs a scenario. */
export async function run(scenario: Scenario): Promise<Result> {
  const time = new VirtualTime();
  const world = new World(time);
  const use = useClock(time);
  forgetFields();
  const allow = forbidReality(world);
  current = world;
  try {
    time.after(0, () => begin(world, scenario));
    const why = await time.run(longestMs);
    if (why === "busy") world.fail("nothing waits for ever", "too much happens at one instant");
    if (why === "limit") world.fail("no timer is left", `timers still run after ${longestMs} ms`);
    const longer = time.lastTheirs - world.overAt;
    if (why === "done" && longer > graceMs)
      world.fail("no timer is left", `a timer was due ${longer} ms behind the end of everything`);
    world.finish();
  } finally {
    current = undefined;
    allow();
    use[Symbol.dispose]();
  }
  return {
    findings: world.findings,
    transcript: world.transcript,
    elapsedMs: time.elapsed,
    events: time.events,
    counts: world.counts,
  };
}

function begin(world: World, { http, tcp, actors }: Scenario): void {
  const started = (part: Promise<void>): void => {
    part.catch((error: unknown) => world.fail("the simulation works", String((error as Error).stack)));
  };
  if (http !== undefined) started(runHttp(world, http));
  if (tcp !== undefined) started(runTcp(world, tcp));
  if (actors !== undefined) started(runActors(world, actors));
}
