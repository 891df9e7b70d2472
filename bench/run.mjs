// The benchmark: `node run.mjs [case or group …]`, the packages built before.
//
//   --smoke       seconds instead of minutes, and only right answers count
//   --soak        the long run that watches the heap
//   --rounds N    instead of 5
//   --no-write    leave docs/bench as it is (it is written when all cases were run)
//   --against DIR ours beside ours of another checkout, which is built: what a change costs; docs/bench stays
//   --update      write it for the cases that were run, and keep what it says of the others
//
// BENCH_NODE names the Node.js that serves and that makes the load; BENCH_SERVER_FLAGS what else the servers' is told,
// such as --cpu-prof.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { cases } from "./src/cases.mjs";
import { chart } from "./src/chart.mjs";
import { againstCheckout, makeCertificate } from "./src/contestants.mjs";
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
  },
});

const extent = { ...(options.smoke ? smoke : full) };
if (options.rounds !== undefined) extent.rounds = Number(options.rounds);

function choose() {
  const known = new Set(cases.flatMap(({ id, group }) => [id, group]));
  for (const name of wanted)
    if (!known.has(name)) throw new Error(`no case ${name}; there are ${[...known]}`);
  const chosen = cases.filter(
    ({ id, group }) => wanted.length === 0 || wanted.includes(id) || wanted.includes(group),
  );
  const { against } = options;
  if (against === undefined) return chosen;
  return chosen.map((one) => againstCheckout(one, resolve(against))).filter((one) => one !== undefined);
}

const docs = new URL("../docs/bench/", import.meta.url);

function write(name, content) {
  mkdirSync(docs, { recursive: true });
  writeFileSync(new URL(name, docs), content);
}

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
  if (options["no-write"] || options.against !== undefined || (wanted.length > 0 && !options.update)) return;
  writeResults(machine, options.update ? withOthers(results) : results);
}

/** The results of a former run, with these in the place of theirs. */
function withOthers(results) {
  const former = new Map(readResults().map((result) => [result.id, result]));
  for (const result of results) former.set(result.id, result);
  return cases.flatMap(({ id }) => former.get(id) ?? []);
}

function readResults() {
  try {
    return JSON.parse(readFileSync(new URL("results.json", docs), "utf8")).results;
  } catch {
    return [];
  }
}

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
