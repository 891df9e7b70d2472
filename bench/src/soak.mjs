// The long run: whether mist's heap stays flat over a million requests and over 200 000 connections.

/** @import { Extent, LoadJob } from "./figures.mjs" */
/** @import { Contestant } from "./contestants.mjs" */

/** @typedef {{ title: string, job: LoadJob, messages: number }} Run */

import { contestants } from "./contestants.mjs";
import { LoadProcess } from "./load-process.mjs";
import { number } from "./table.mjs";

/** @type {LoadJob} */
const http = { protocol: "http", connections: 64 };

/** @type {Run[]} */
const runs = [
  { title: "a million requests on 64 connections", job: { ...http, exchange: "get" }, messages: 1_000_000 },
  {
    title: "a million requests, 16 pipelined",
    job: { ...http, exchange: "get", inFlight: 16 },
    messages: 1_000_000,
  },
  {
    title: "200 000 connections of one request",
    job: { ...http, exchange: "get-once", mode: "once", serverCloses: true },
    messages: 200_000,
  },
];

const parts = 10;
/** How many bytes a heap may grow between the first and the last tenth of a run. */
const slack = 512 * 1024;

/**
 * @param {Run} run
 * @param {Extent} extent
 */
async function soak({ title, job, messages }, extent) {
  const server = await /** @type {Contestant} */ (contestants.mist).start({});
  const load = await LoadProcess.open({ mode: "talk", ...job, port: server.port });
  /** @type {number[]} */
  const heaps = [];
  try {
    for (let part = 0; part < parts; part++) {
      await load.run({ messages: Math.ceil((messages * extent.scale) / parts) });
      heaps.push((await server.ask("memory")).heap);
    }
    await load.close();
  } finally {
    load.stop();
    await server.stop();
  }
  const grown = (heaps.at(-1) ?? 0) - (heaps[0] ?? 0);
  const kib = heaps.map((heap) => number(heap / 1024)).join(" ");
  console.log(`${title}\n  heap after each tenth, in KiB: ${kib}`);
  console.log(
    `  ${grown <= slack ? "flat" : "GROWS"}: ${number(grown / 1024)} KiB from the first to the last tenth\n`,
  );
  return { title, messages, heaps, flat: grown <= slack };
}

/** @param {Extent} extent */
export async function soakAll(extent) {
  const results = [];
  for (const run of runs) results.push(await soak(run, extent));
  return results;
}
