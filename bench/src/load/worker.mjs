// The load: a process of its own. It is told to open its connections, to run, and to tell what happened.
//
// mode "talk": the connections stay, each says its next batch when the last was answered.
// mode "once": each exchange has a connection of its own, so many at a time.
//
// A batch may be empty: then the connections only listen, until what they wait for has come.

import { setTimeout as delay } from "node:timers/promises";
import { prepare } from "./jobs.mjs";
import { Talk } from "./talk.mjs";

let description;
let job;
let talks = [];
let stopping = true;
let count = 0;
let idle = 0;
let latencies;
let settled = () => {};
let heard;

function fail(error) {
  console.error(error);
  process.exit(1);
}

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

// Each says one batch as soon as it is open: a server may not wait for the first word for as long as all of them take.
async function openAll(connections) {
  const open = async () => {
    let greeted;
    const each = new Talk(job, (...how) => (greeted === undefined ? onBatch(...how) : greeted()), fail);
    await each.open();
    talks.push(each);
    if (job.batch.length === 0) return;
    await new Promise((resolve) => {
      greeted = resolve;
      each.say();
    });
    greeted = undefined;
  };
  while (talks.length < connections) {
    await Promise.all(Array.from({ length: Math.min(100, connections - talks.length) }, open));
  }
}

/** Everyone talks, for so long or until so many answers are there. */
async function talk({ milliseconds, messages }) {
  count = 0;
  idle = 0;
  asked = 0;
  wanted = messages ?? Number.POSITIVE_INFINITY;
  stopping = false;
  const all = new Promise((resolve) => {
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
    messages === undefined ? milliseconds : 2 ** 30,
  );
  await all;
  clearTimeout(timer);
  stopping = true;
  return { count, ms: performance.now() - since };
}

/** One connection after the other, `connections` at a time. */
async function once({ milliseconds, messages = Number.POSITIVE_INFINITY }) {
  const since = performance.now();
  const until = messages === Number.POSITIVE_INFINITY ? since + milliseconds : Number.POSITIVE_INFINITY;
  let started = 0;
  let ended = 0;
  const line = async () => {
    while (started < messages && performance.now() < until) {
      started += 1;
      await new Promise((resolve) => {
        const each = new Talk(job, () => resolve(leave(each)), fail);
        each.open().then(() => each.say());
      });
      ended += 1;
      if (description.paceMs !== undefined) await delay(description.paceMs);
    }
  };
  await Promise.all(Array.from({ length: description.connections }, line));
  return { count: ended, ms: performance.now() - since };
}

function leave(each) {
  return description.serverCloses ? each.closedByServer() : each.close();
}

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function summary() {
  const sorted = Float64Array.from(latencies).sort();
  return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
}

const modes = { talk, once };

const commands = {
  async open(asked) {
    description = asked;
    job = prepare(description);
    if (description.mode !== "once") await openAll(description.connections);
    return {};
  },
  async run({ measured, ...limits }) {
    latencies = measured && description.latency ? [] : undefined;
    const result = await modes[description.mode](limits);
    return latencies === undefined ? result : { ...result, ...summary() };
  },
  /** As `run`, for those who only listen: answers when they do, and `heard` when they have heard it all. */
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

process.on("message", async ({ command, ...more }) => {
  process.send(await commands[command](more).catch(fail));
});
// Whoever measures is gone.
process.on("disconnect", () => process.exit());
