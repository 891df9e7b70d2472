// The ways to take a figure from a running server. Each runs a job and returns what one unit of it costs.

/** @import { RunResult } from "./load/worker.mjs" */
/** @import { PreparedJob } from "./load/jobs.mjs" */
/** @import { ServerProcess } from "./server-process.mjs" */

import { prepare } from "./load/jobs.mjs";
import { LoadProcess, runWrk } from "./load-process.mjs";
import { tools } from "./machine.mjs";

/**
 * What the load does with a server.
 *
 * @typedef {object} LoadJob
 * @property {"http" | "echo" | "websocket" | "events" | "frame-echo" | "frame-room" | "socket.io"} protocol
 * @property {number} connections
 * @property {"talk" | "once"} [mode] `once`: every exchange has a connection of its own; `talk` by default
 * @property {boolean} [tls]
 * @property {number} [inFlight] messages that a connection sends at a time; 1 by default
 * @property {string} [exchange] HTTP: request and response, by their name in load/jobs.mjs
 * @property {number} [size] bytes of a message
 * @property {"binary" | "json" | "ping"} [payload] WebSocket: what is sent; text by default
 * @property {string} [path] WebSocket: where
 * @property {boolean} [deflate] WebSocket: compressed
 * @property {boolean} [listen] WebSocket: the connections only listen
 * @property {boolean} [serverCloses] with `once`: the server closes first
 * @property {number} [paceMs] the pause between two batches
 * @property {number} [messages] measure that many answers instead of a time
 * @property {boolean} [wrk] wrk may make the load
 * @property {number} [unitsPerAnswer] 1 by default
 * @property {boolean} [latency] measure percentiles
 * @property {number} [ballast] small objects that the server holds meanwhile, as an application does
 * @property {"heap" | "rss"} [kind] memory: what counts
 * @property {number} [times] broadcasts: how many messages
 * @property {boolean} [oneByOne] broadcasts: the next message is sent when everybody has the last
 */

/**
 * What a program does by itself, or with a peer, and measures itself.
 *
 * @typedef {object} Task
 * @property {string} workload
 * @property {number} units in one batch
 * @property {number} batches
 * @property {string} [side] whose client does it
 * @property {string} [message]
 * @property {number} [port] the peer's
 */

/**
 * A task, which time counts, and for how many units a figure is (1 by default).
 *
 * @typedef {Task & { kind: "cpu" | "wall", per?: number, peerPort?: number }} TaskJob
 */

/**
 * Microseconds per unit.
 *
 * @typedef {{ cpu: number, wall: number }} TaskCost
 */

/** @typedef {LoadJob | TaskJob} Job */

/**
 * What was measured, and what else became known with it.
 *
 * @typedef {{ figure: number, [detail: string]: number | undefined }} Figure
 */

/**
 * How much is measured.
 *
 * @typedef {object} Extent
 * @property {number} warmUpMs
 * @property {number} runMs how long a job that ends by time is measured
 * @property {number} scale for connections, and for what is measured by count
 * @property {number} rounds
 * @property {boolean} wrk whether wrk may make the load
 * @property {boolean} keep whether a server serves more than one case
 */

/** @type {Extent} */
export const full = { warmUpMs: 600, runMs: 2000, scale: 1, rounds: 5, wrk: tools.wrk, keep: false };
/** @type {Extent} */
export const smoke = { warmUpMs: 20, runMs: 60, scale: 0.02, rounds: 1, wrk: false, keep: true };

/**
 * @template Result
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @param {(load: LoadProcess) => Promise<Result>} use
 */
async function withLoad(server, job, extent, use) {
  if (job.ballast !== undefined) await server.ask("hold", { objects: job.ballast * extent.scale });
  const load = await LoadProcess.open({ mode: "talk", ...job, port: server.port }, extent);
  try {
    const result = await use(load);
    await load.close();
    return result;
  } finally {
    load.stop();
  }
}

/**
 * Runs until the server's code is compiled, which takes longer on a busy machine.
 *
 * @param {() => Promise<RunResult>} run
 * @param {PreparedJob} job
 * @param {Extent} extent
 */
async function warmUp(run, { batch, perBatch }, extent) {
  const least = batch.length / perBatch < 4096 ? 20_000 * extent.scale : 0;
  let count = 0;
  for (let i = 0; i < 10 && (i === 0 || count < least); i++) count += (await run()).count;
}

/**
 * @param {LoadJob} job
 * @param {Extent} extent
 */
function limits(job, extent) {
  return job.messages === undefined
    ? { milliseconds: extent.runMs }
    : { messages: job.messages * extent.scale };
}

/**
 * Microseconds of server CPU per answer (or per `unitsPerAnswer`), and answers per second.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
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

/** @param {RunResult} result */
function latency({ p50, p99 }) {
  return p50 === undefined ? {} : { p50, p99 };
}

/**
 * The same with wrk's load, while one more connection sends requests now and then and checks the responses.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
async function wrkPerUnit(server, job, extent) {
  const checks = { ...job, connections: 1, inFlight: 1, paceMs: 5 };
  const prepared = prepare({ ...job, port: server.port });
  /** @param {number} milliseconds */
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

/**
 * The 99th percentile of the time that a batch takes, in milliseconds, as the client sees it.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
export async function p99(server, job, extent) {
  const { p99, p50, perSecond } = await cpuPerUnit(server, { ...job, latency: true }, extent);
  return { figure: p99 ?? Number.NaN, p50, perSecond };
}

/**
 * Closing connections, and what follows from it, takes a moment.
 *
 * @param {Extent} extent
 */
const settle = ({ scale }) => new Promise((resolve) => setTimeout(resolve, 300 * scale));

/**
 * What an idle connection holds that has had an answer, in a warm server: `kind` "heap" or "rss", in bytes. As many
 * connections as are measured have been open before and are closed.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
export async function memoryPerConnection(server, { kind = "heap", ...job }, extent) {
  const { connections } = job;
  /**
   * @template Result
   * @param {() => Promise<Result>} use
   */
  const open = (use) =>
    withLoad(server, job, extent, async (load) => {
      await load.run({ messages: connections });
      return use();
    });
  await open(async () => {});
  await settle(extent);
  const before = await server.ask("memory");
  const after = await open(async () => {
    await settle(extent);
    return server.ask("memory");
  });
  /** @param {"heap" | "rss"} what */
  const each = (what) => (after[what] - before[what]) / connections;
  return { figure: each(kind), heap: each("heap"), rss: each("rss") };
}

/**
 * Microseconds of CPU per message and client when every message goes to all clients: `times` messages, one in every
 * turn of the server's event loop; with `oneByOne` the next when all clients have the last.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
export async function broadcastCost(server, { times = 1, oneByOne = false, size = 0, ...job }, extent) {
  const { connections } = job;
  const count = Math.max(2, Math.ceil(times * extent.scale));
  const atOnce = oneByOne ? 1 : count;
  const listeners = { ...job, size, inFlight: atOnce, listen: true };
  return withLoad(server, listeners, extent, async (load) => {
    const publish = async () => {
      const heard = await load.listen(connections * atOnce);
      await server.ask("publish", { size, times: atOnce });
      return heard();
    };
    const round = async () => {
      const sum = { count: 0, ms: 0 };
      for (let published = 0; published < count; published += atOnce) {
        const { count, ms } = await publish();
        sum.count += count;
        sum.ms += ms;
      }
      return sum;
    };
    await round();
    const before = await server.cpuTime();
    const result = await round();
    const after = await server.cpuTime();
    return { figure: (after - before) / result.count, perSecond: (result.count / result.ms) * 1000 };
  });
}

/**
 * What a program measures while it does a task: microseconds of CPU or of wall-clock time per unit, or per `per` units.
 *
 * @param {ServerProcess} program
 * @param {TaskJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
export async function taskCost(program, { kind, per = 1, peerPort, ...task }, extent) {
  const asked = { ...task, units: Math.ceil(task.units * extent.scale) };
  const cost = await program.ask("run", peerPort === undefined ? asked : { ...asked, port: peerPort });
  if (cost === undefined) throw new Error("the program has no task to run");
  const { cpu, wall } = cost;
  return { figure: (kind === "cpu" ? cpu : wall) * per, cpu, wall };
}
