// The load, a process of its own: it opens connections, runs, and reports, as it is told.
//
// mode "talk": connections stay open, and each sends its next batch when the previous one is answered.
// mode "once": every exchange has a connection of its own, `connections` at a time.
//
// With an empty batch, connections only listen until what they wait for has arrived.

/** @import { LoadJob } from "../figures.mjs" */
/** @import { PreparedJob } from "./jobs.mjs" */

import { setTimeout as delay } from "node:timers/promises";
import { prepare } from "./jobs.mjs";
import { Talk } from "./talk.mjs";

/** @typedef {LoadJob & { port: number, mode: "talk" | "once" }} Description */

/**
 * When a run ends: after a time, or after a number of answers. `measured` asks for latencies too.
 *
 * @typedef {({ milliseconds: number, messages?: undefined } | { messages: number, milliseconds?: undefined }) & { measured?: boolean }} Limits
 */

/**
 * Answers and milliseconds of a run; percentiles of the time per batch, in milliseconds, where the job measures them.
 *
 * @typedef {{ count: number, ms: number, p50?: number | undefined, p99?: number | undefined }} RunResult
 */

/** @type {Description} */
let description;
/** @type {PreparedJob} */
let job;
/** @type {Talk[]} */
let talks = [];
let stopping = true;
let count = 0;
let idle = 0;
/** @type {number[] | undefined} */
let latencies;
let settled = () => {};
/** @type {Promise<RunResult>} */
let heard = Promise.resolve({ count: 0, ms: 0 });

/**
 * @param {unknown} error
 * @returns {never}
 */
function fail(error) {
  console.error(error);
  process.exit(1);
}

/**
 * @param {Talk} talk
 * @param {number} ms
 */
function onBatch(talk, ms) {
  count += job.perBatch;
  latencies?.push(ms);
  if (!stopping && !enough()) {
    if (description.paceMs === undefined) talk.say();
    else setTimeout(() => (stopping ? rest() : talk.say()), description.paceMs);
    return;
  }
  rest();
}

let wanted = Number.POSITIVE_INFINITY;
let asked = 0;
function enough() {
  asked += job.perBatch;
  return asked > wanted;
}

function rest() {
  idle += 1;
  if (idle === talks.length) settled();
}

/**
 * Opens connections. Each sends one batch as soon as it is open: while all of them are opening, a server may give up
 * waiting for the first bytes.
 *
 * @param {number} connections
 */
async function openAll(connections) {
  const open = async () => {
    /** @type {(() => void) | undefined} */
    let greeted;
    const each = new Talk(job, (...how) => (greeted === undefined ? onBatch(...how) : greeted()), fail);
    await each.opened;
    talks.push(each);
    if (job.batch.length === 0) return;
    await new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
      greeted = resolve;
      each.say();
    });
    greeted = undefined;
  };
  while (talks.length < connections) {
    await Promise.all(Array.from({ length: Math.min(100, connections - talks.length) }, open));
  }
}

/**
 * All connections talk, until a limit is reached.
 *
 * @param {Limits} limits
 * @returns {Promise<RunResult>}
 */
async function talk({ milliseconds, messages }) {
  count = 0;
  idle = 0;
  asked = 0;
  wanted = messages ?? Number.POSITIVE_INFINITY;
  stopping = false;
  const all = new Promise((/** @type {(value?: undefined) => void} */ resolve) => {
    settled = resolve;
  });
  const since = performance.now();
  for (const each of talks) {
    asked += job.perBatch;
    each.say();
  }
  const timer = setTimeout(
    () => {
      stopping = true;
    },
    milliseconds ?? 2 ** 30,
  );
  await all;
  clearTimeout(timer);
  stopping = true;
  return { count, ms: performance.now() - since };
}

/**
 * One connection after another, `connections` at a time.
 *
 * @param {Limits} limits
 * @returns {Promise<RunResult>}
 */
async function once({ milliseconds = Number.POSITIVE_INFINITY, messages = Number.POSITIVE_INFINITY }) {
  const since = performance.now();
  const until = since + milliseconds;
  let started = 0;
  let ended = 0;
  const line = async () => {
    while (started < messages && performance.now() < until) {
      started += 1;
      await new Promise((resolve) => {
        const each = new Talk(job, () => resolve(leave(each)), fail);
        each.opened.then(() => each.say());
      });
      ended += 1;
      if (description.paceMs !== undefined) await delay(description.paceMs);
    }
  };
  await Promise.all(Array.from({ length: description.connections }, line));
  return { count: ended, ms: performance.now() - since };
}

/** @param {Talk} each */
function leave(each) {
  return description.serverCloses ? each.closedByServer() : each.close();
}

/**
 * @param {Float64Array} sorted
 * @param {number} share
 */
function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** @param {number[]} latencies */
function summary(latencies) {
  const sorted = Float64Array.from(latencies).sort();
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
}

const modes = { talk, once };

/** What this process does when told; the answer goes back. */
export const commands = {
  /** @param {Description} asked */
  async open(asked) {
    description = asked;
    job = prepare(description);
    if (description.mode !== "once") await openAll(description.connections);
    return {};
  },
  /** @param {Limits} limits */
  async run({ measured, ...limits }) {
    latencies = measured && description.latency ? [] : undefined;
    const result = await modes[description.mode](limits);
    return latencies === undefined ? result : { ...result, ...summary(latencies) };
  },
  /**
   * Like `run` for connections that only listen: the answer comes at once, and that of `heard` when all messages have
   * arrived.
   *
   * @param {{ messages: number }} limits
   */
  async listen({ messages }) {
    heard = talk({ messages });
    return {};
  },
  heard: async () => heard,
  async close() {
    await Promise.all(talks.map((each) => each.close()));
    talks = [];
    return {};
  },
};

/** @typedef {{ command: keyof typeof commands }} Command */

process.on("message", async (/** @type {Command} */ { command, ...more }) => {
  const run = /** @type {(more: object) => Promise<object>} */ (commands[command]);
  process.send?.(await run(more).catch(fail));
});
// Ends with the process that measures.
process.on("disconnect", () => process.exit());
