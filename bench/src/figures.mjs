// The ways to take a figure from a running server. Each runs a job and returns what one unit of it costs.

/** @import { RunResult } from "./load/worker.mjs" */
/** @import { PreparedJob } from "./load/jobs.mjs" */
/** @import { ServerProcess } from "./server-process.mjs" */

import { http2Exchange, prepare } from "./load/jobs.mjs";
import { LoadProcess, runH2load, runWrk } from "./load-process.mjs";
import { tools } from "./machine.mjs";

/**
 * What the load does with a server.
 *
 * @typedef {object} LoadJob
 * @property {"http" | "http2" | "echo" | "websocket" | "events" | "frame-echo" | "frame-room" | "socket.io"} protocol
 * @property {number} connections
 * @property {"talk" | "once"} [mode] `once`: every exchange has a connection of its own; `talk` by default
 * @property {boolean} [tls]
 * @property {number} [inFlight] messages that a connection sends, or streams that it opens, at a time; 1 by default
 * @property {string} [exchange] HTTP: request and response, by their name in load/jobs.mjs
 * @property {number} [size] bytes of a message
 * @property {"binary" | "json" | "ping"} [payload] WebSocket: what is sent; text by default
 * @property {string} [path] WebSocket: where
 * @property {boolean} [deflate] WebSocket: compressed
 * @property {boolean} [listen] WebSocket: the connections only listen
 * @property {boolean} [serverCloses] with `once`: the server closes first
 * @property {number} [paceMs] the pause between two batches
 * @property {number} [messages] measure that many answers instead of a time
 * @property {boolean} [wrk] wrk may make the load; of HTTP/2, h2load
 * @property {number} [unitsPerAnswer] 1 by default
 * @property {boolean} [latency] measure percentiles
 * @property {number} [ballast] small objects that the server holds meanwhile, as an application does
 * @property {"heap" | "rss"} [kind] memory: what counts
 * @property {"connection" | "stream"} [each] memory: of what; of a connection by default
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
 * @property {boolean} h2load the same
 * @property {boolean} keep whether a server serves more than one case
 */

const loads = { wrk: tools.wrk, h2load: tools.h2load };
/** @type {Extent} */
export const full = { warmUpMs: 600, runMs: 2000, scale: 1, rounds: 5, ...loads, keep: false };
/** @type {Extent} */
export const smoke = {
  warmUpMs: 20,
  runMs: 60,
  scale: 0.02,
  rounds: 1,
  wrk: false,
  h2load: false,
  keep: true,
};

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
 * @param {PreparedJob & { unitsPerAnswer?: number }} job
 * @param {Extent} extent
 */
async function warmUp(run, { batch, perBatch, unitsPerAnswer = 1 }, extent) {
  const small = batch.length / perBatch < 4096 && unitsPerAnswer === 1;
  const least = small ? 20_000 * extent.scale : 0;
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
  const tool = job.wrk ? toolFor(server, job, extent) : undefined;
  if (tool !== undefined) return toolPerUnit(server, job, extent, tool);
  return withLoad(server, job, extent, async (load) => {
    const part = { milliseconds: extent.warmUpMs };
    const prepared = { ...job, ...prepare({ ...job, port: server.port }) };
    await warmUp(() => load.run(part), prepared, extent);
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
 * The program that makes the load of `job`; undefined where it is not installed.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {((milliseconds: number) => Promise<RunResult>) | undefined}
 */
function toolFor({ port }, job, extent) {
  const { connections, tls, inFlight: streams = 1, exchange = "" } = job;
  if (job.protocol === "http2") {
    if (!extent.h2load) return undefined;
    const { path, body, pattern, length = pattern.length } = http2Exchange(exchange);
    return (milliseconds) => runH2load({ port, tls, connections, streams, path, body, length, milliseconds });
  }
  if (!extent.wrk) return undefined;
  const { batch } = prepare({ ...job, port });
  return (milliseconds) => runWrk({ port, tls, connections, batch, milliseconds });
}

/**
 * The same with another program's load, while one more connection sends requests now and then and checks the responses.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @param {(milliseconds: number) => Promise<RunResult>} tool
 * @returns {Promise<Figure>}
 */
async function toolPerUnit(server, job, extent, tool) {
  const checks = { ...job, connections: 1, inFlight: 1, paceMs: 5 };
  return withLoad(server, checks, extent, async (load) => {
    await load.run({ milliseconds: 20 });
    await warmUp(() => tool(extent.warmUpMs), prepare({ ...job, port: server.port }), extent);
    const before = await server.cpuTime();
    const checked = load.run({ milliseconds: extent.runMs });
    const result = await tool(extent.runMs);
    const { count } = await checked;
    const after = await server.cpuTime();
    const units = result.count + count;
    return {
      figure: (after - before) / units,
      perSecond: (units / result.ms) * 1000,
      ...latency(result),
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
 * connections as are measured have been open before and are closed; for RSS, fewer. With `each: "stream"`, the share of
 * one of the streams that a connection has in flight.
 *
 * @param {ServerProcess} server
 * @param {LoadJob} job
 * @param {Extent} extent
 * @returns {Promise<Figure>}
 */
export async function memoryPerConnection(server, { kind = "heap", each = "connection", ...job }, extent) {
  const { connections, inFlight = 1 } = job;
  /**
   * @template Result
   * @param {number} number
   * @param {() => Promise<Result>} use
   */
  const open = (number, use) =>
    withLoad(server, { ...job, connections: number }, extent, async (load) => {
      await load.run({ messages: number * inFlight });
      return use();
    });
  // Memory that was freed stays with the process, so that RSS would not grow a second time.
  await open(kind === "rss" ? Math.ceil(connections / 20) : connections, async () => {});
  await settle(extent);
  const before = await server.ask("memory");
  const after = await open(connections, async () => {
    await settle(extent);
    return server.ask("memory");
  });
  const count = each === "stream" ? connections * inFlight : connections;
  /** @param {"heap" | "rss"} what */
  const share = (what) => (after[what] - before[what]) / count;
  return { figure: share(kind), heap: share("heap"), rss: share("rss") };
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
