// The long run: whether mist's heap stays where it is over a million requests and over 200 000 connections.

import { contestants } from "./contestants.mjs";
import { LoadProcess } from "./load-process.mjs";
import { number } from "./table.mjs";

const http = { protocol: "http", connections: 64 };

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
/** What a heap may grow between the first and the last tenth of a run. */
const slack = 512 * 1024;

async function soak({ title, job, messages }, extent) {
  const server = await contestants.mist.start({});
  const load = await LoadProcess.open({ mode: "talk", ...job, port: server.port });
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
  const grown = heaps.at(-1) - heaps[0];
  const kib = heaps.map((heap) => number(heap / 1024)).join(" ");
  console.log(`${title}\n  heap after each tenth, in KiB: ${kib}`);
  console.log(
    `  ${grown <= slack ? "flat" : "GROWS"}: ${number(grown / 1024)} KiB from the first to the last\n`,
  );
  return { title, messages, heaps, flat: grown <= slack };
}

export async function soakAll(extent) {
  const results = [];
  for (const run of runs) results.push(await soak(run, extent));
  return results;
}
