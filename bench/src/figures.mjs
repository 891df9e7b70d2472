// The ways to take a figure off a running server. Each runs a job against it and says what one unit of it has cost.

import { prepare } from "./load/jobs.mjs";
import { LoadProcess, runWrk } from "./load-process.mjs";
import { tools } from "./machine.mjs";

/**
 * How long and how much: `warmUpMs` and `runMs` for what is measured by time; `scale` for connections, and for what is
 * measured by count; `wrk` whether it may make the load;
 * `keep` whether a server serves more than one case.
 */
export const full = { warmUpMs: 600, runMs: 2000, scale: 1, rounds: 5, wrk: tools.wrk, keep: false };
export const smoke = { warmUpMs: 20, runMs: 60, scale: 0.02, rounds: 1, wrk: false, keep: true };

async function withLoad(server, job, extent, use) {
  const load = await LoadProcess.open({ mode: "talk", ...job, port: server.port }, extent);
  try {
    const result = await use(load);
    await load.close();
    return result;
  } finally {
    load.stop();
  }
}

/** As long as it takes for the server's code to be compiled: a busy machine needs longer. */
async function warmUp(run, { batch, perBatch }, extent) {
  const least = batch.length / perBatch < 4096 ? 20_000 * extent.scale : 0;
  let count = 0;
  for (let i = 0; i < 10 && (i === 0 || count < least); i++) count += (await run()).count;
}

function limits(job, extent) {
  return job.messages === undefined
    ? { milliseconds: extent.runMs }
    : { messages: job.messages * extent.scale };
}

/** Microseconds of server CPU per answer (or per `unitsPerAnswer`), and answers per second. */
export async function cpuPerUnit(server, job, extent) {
  if (extent.wrk && job.wrk) return wrkPerUnit(server, job, extent);
  return withLoad(server, job, extent, async (load) => {
    const part = { milliseconds: extent.warmUpMs };
    await warmUp(() => load.run(part), prepare({ ...job, port: server.port }), extent);
    const before = await server.cpuTime();
    const result = await load.run({ ...limits(job, extent), measured: true });
    const after = await server.cpuTime();
    const units = result.count * (job.unitsPerAnswer ?? 1);
    return { figure: (after - before) / units, perSecond: (units / result.ms) * 1000, ...latency(result) };
  });
}

function latency({ p50, p99 }) {
  return p50 === undefined ? {} : { p50, p99 };
}

/** The same with wrk's load, while one more connection asks now and then, and checks what it gets. */
async function wrkPerUnit(server, job, extent) {
  const checks = { ...job, connections: 1, inFlight: 1, paceMs: 5 };
  const prepared = prepare({ ...job, port: server.port });
  const wrk = (milliseconds) => {
    const { connections, tls } = job;
    return runWrk({ port: server.port, tls, connections, batch: prepared.batch, milliseconds });
  };
  return withLoad(server, checks, extent, async (load) => {
    await load.run({ milliseconds: 20 });
    await warmUp(() => wrk(extent.warmUpMs), prepared, extent);
    const before = await server.cpuTime();
    const checked = load.run({ milliseconds: extent.runMs });
    const result = await wrk(extent.runMs);
    const { count } = await checked;
    const after = await server.cpuTime();
    const units = result.count + count;
    return {
      figure: (after - before) / units,
      perSecond: (units / result.ms) * 1000,
      p50: result.p50,
      p99: result.p99,
    };
  });
}

/** The 99th percentile of what a batch takes, in milliseconds, as the client sees it. */
export async function p99(server, job, extent) {
  const { p99: figure, p50, perSecond } = await cpuPerUnit(server, { ...job, latency: true }, extent);
  return { figure, p50, perSecond };
}

/** The 50th. */
export async function p50(server, job, extent) {
  const { p99: worst, p50: figure, perSecond } = await cpuPerUnit(server, { ...job, latency: true }, extent);
  return { figure, p99: worst, perSecond };
}

/** Closing, and what follows from it, takes a moment. */
const settle = ({ scale }) => new Promise((resolve) => setTimeout(resolve, 300 * scale));

/**
 * What one idle connection holds that has had an answer, in a server that is warm: `kind` "heap" (bytes) or "rss".
 * As many connections as are measured have been there before and are gone.
 */
export async function memoryPerConnection(server, { kind, ...job }, extent) {
  const { connections } = job;
  const once = { messages: connections };
  const open = (use) =>
    withLoad(server, job, extent, async (load) => {
      await load.run(once);
      return use();
    });
  await open(() => undefined);
  await settle(extent);
  const before = await server.ask("memory");
  const after = await open(async () => {
    await settle(extent);
    return server.ask("memory");
  });
  const each = (what) => (after[what] - before[what]) / connections;
  return { figure: each(kind), heap: each("heap"), rss: each("rss") };
}

/**
 * Microseconds of CPU per message sent to a client, when each goes to all that are connected: `times` messages, one in
 * every turn of the server's event loop, or `oneByOne`, the next when all have heard the last.
 */
export async function broadcastCost(server, { times, oneByOne = false, ...job }, extent) {
  const { connections } = job;
  const count = Math.max(2, Math.ceil(times * extent.scale));
  const atOnce = oneByOne ? 1 : count;
  const listeners = { ...job, inFlight: atOnce, listen: true };
  return withLoad(server, listeners, extent, async (load) => {
    const publish = async () => {
      const heard = await load.listen(connections * atOnce);
      await server.ask("publish", { size: job.size, times: atOnce });
      return heard();
    };
    const round = async () => {
      const results = [];
      for (let published = 0; published < count; published += atOnce) results.push(await publish());
      const sum = (what) => results.reduce((all, one) => all + one[what], 0);
      return { count: sum("count"), ms: sum("ms") };
    };
    await round();
    const before = await server.cpuTime();
    const result = await round();
    const after = await server.cpuTime();
    return { figure: (after - before) / result.count, perSecond: (result.count / result.ms) * 1000 };
  });
}

/** What a client of ours takes to do `units` of its work: CPU or wall-clock microseconds per unit. */
export async function clientCost(client, { kind, units, workload, peerPort, ...job }, extent) {
  const asked = { name: "run", workload, port: peerPort, units: Math.ceil(units * extent.scale), ...job };
  const { cpu, wall } = await client.ask("task", asked);
  return { figure: kind === "cpu" ? cpu : wall, cpu, wall };
}
