// The benchmark: `node run.mjs [case or group …]`, after a build.
//
//   --smoke           takes seconds instead of minutes and only checks the answers
//   --soak            the long run that watches the heap
//   --rounds N        instead of 5
//   --no-write        leave docs/bench alone; otherwise a run of all cases writes it
//   --update          write the cases that ran to docs/bench, and keep the others
//   --against DIR     ours beside ours of another, built checkout: what a change costs
//   --without TRICKS  ours beside ours without performance tricks, such as `push,weight`: what they gain
//
// Neither --against nor --without writes to docs/bench. BENCH_NODE names the Node.js that runs the servers and the load,
// BENCH_SERVER_FLAGS further arguments of the servers' Node.js, such as --cpu-prof.

/** @import { Machine } from "./src/machine.mjs" */
/** @import { Result } from "./src/measure.mjs" */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { cases } from "./src/cases.mjs";
import { chart } from "./src/chart.mjs";
import { againstCheckout, makeCertificate, withoutTricks } from "./src/contestants.mjs";
import { full, smoke } from "./src/figures.mjs";
import { describeMachine } from "./src/machine.mjs";
import { measureCase, Servers } from "./src/measure.mjs";
import { soakAll } from "./src/soak.mjs";
import { caseLines, machineLines, smokeLine, summaryLines } from "./src/table.mjs";

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: "boolean", default: false },
    soak: { type: "boolean", default: false },
    "no-write": { type: "boolean", default: false },
    update: { type: "boolean", default: false },
    rounds: { type: "string" },
    against: { type: "string" },
    without: { type: "string" },
  },
});

const extent = { ...(options.smoke ? smoke : full) };
if (options.rounds !== undefined) extent.rounds = Number(options.rounds);

function choose() {
  const known = new Set(cases.flatMap(({ id, group }) => [id, group]));
  for (const name of wanted)
    if (!known.has(name)) throw new Error(`there is no case "${name}"; there are: ${[...known].join(", ")}`);
  const chosen = cases.filter(
    ({ id, group }) => wanted.length === 0 || wanted.includes(id) || wanted.includes(group),
  );
  if (options.against !== undefined) return againstCheckout(chosen, resolve(options.against));
  return options.without === undefined ? chosen : withoutTricks(chosen, options.without);
}

const docs = new URL("../docs/bench/", import.meta.url);

/**
 * @param {string} name
 * @param {string} content
 */
function write(name, content) {
  mkdirSync(docs, { recursive: true });
  writeFileSync(new URL(name, docs), content);
}

/** @param {Machine} machine */
async function measureAll(machine) {
  const certificate = makeCertificate();
  const servers = new Servers({ keep: extent.keep, certificate });
  const results = [];
  try {
    for (const one of choose()) {
      const result = await measureCase(one, extent, servers);
      results.push(result);
      if (options.smoke) console.log(smokeLine(result));
      else console.log(`${caseLines(result).join("\n")}\n`);
    }
  } finally {
    await servers.stop();
    certificate.remove();
  }
  if (options.smoke) return;
  console.log(summaryLines(results).join("\n"));
  if (options["no-write"] || options.against !== undefined || options.without !== undefined) return;
  if (wanted.length > 0 && !options.update) return;
  writeResults(machine, options.update ? withOthers(results) : results);
}

/**
 * The results of the previous run, with these in place of its own.
 *
 * @param {Result[]} results
 */
function withOthers(results) {
  const former = new Map(readResults().map((result) => [result.id, result]));
  for (const result of results) former.set(result.id, result);
  return cases.flatMap(({ id }) => former.get(id) ?? []);
}

/** @returns {Result[]} */
function readResults() {
  try {
    return JSON.parse(readFileSync(new URL("results.json", docs), "utf8")).results;
  } catch {
    return [];
  }
}

/**
 * @param {Machine} machine
 * @param {Result[]} results
 */
function writeResults(machine, results) {
  const date = new Date().toISOString().slice(0, 10);
  write("results.json", `${JSON.stringify({ date, machine, extent, results }, null, 2)}\n`);
  const { processor, cores, versions } = machine;
  write("results.svg", chart(results, `${date}, Node.js ${versions.node}, ${processor}, ${cores} cores`));
}

const machine = describeMachine();
console.log(`${machineLines(machine, extent).join("\n")}\n`);
if (options.soak) {
  const results = await soakAll(extent);
  if (results.some(({ flat }) => !flat)) process.exitCode = 1;
  if (!options.smoke && !options["no-write"]) {
    write(
      "soak.json",
      `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine, results }, null, 2)}\n`,
    );
  }
} else await measureAll(machine);
