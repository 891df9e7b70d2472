// `pnpm simulate`: runs scenarios that seeds make, shows and shrinks those that fail, and hunts mutants.
//
//   pnpm simulate --seeds 2000 [--from 0]   that many seeds
//   pnpm simulate --for 1h [--from 0]       for as long
//   pnpm simulate --seed 42 [--keep name]   one seed with its transcript; shrunk, and kept as a regression, if it fails
//   pnpm simulate --mutants [part of name]  each mutant until it is found
//   pnpm simulate --ci                      regressions, a fixed range, fresh seeds, and whether the mutants still apply
//
// `--mutant name` plants a mutant in any of these.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runSeeds } from "./fleet.mjs";
import { makeSimulator, mutated } from "./load.mjs";
import { mutants } from "./mutants/mutants.mjs";

/** @typedef {typeof import("./simulator.ts")} Simulator */
/** @typedef {import("./simulator.ts").Scenario} Scenario */
/** @typedef {import("./worker.mjs").Failure} Failure */

/** What a scenario is found with that cannot be run. */
const broken = "the simulation works";
const regressions = new URL("regressions/", import.meta.url);
const ciSeeds = 4000;
const ciFreshMs = 8_000;
/** A mutant that so many seeds do not find is not found. */
const mutantSeeds = Number(process.env["MUTANT_SEEDS"] ?? 20_000);

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
    for: { type: "string" },
    keep: { type: "string" },
    mutant: { type: "string" },
    mutants: { type: "boolean", default: false },
    ci: { type: "boolean", default: false },
  },
  allowPositionals: true,
  strict: true,
});

let passed = 0;
let failed = 0;

if (values.mutants) await huntMutants(process.argv.slice(2).filter((word) => !word.startsWith("--"))[0]);
else if (values.seed !== undefined) await replay(Number(values.seed));
else if (values.ci) await ci();
else await range();
if (failed > 0) process.exitCode = 1;
console.log(`${passed} passed, ${failed} failed`);

/** @param {string} name */
function mutantCalled(name) {
  const mutant = mutants.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`no mutant is called ${JSON.stringify(name)}`);
  return mutant;
}

function chosenMutant() {
  return values.mutant === undefined ? undefined : mutantCalled(values.mutant);
}

/** @param {string} text such as `90s`, `30m`, `1h` */
function milliseconds(text) {
  const match = /^(\d+)(s|m|h)$/.exec(text);
  if (match === null) throw new Error(`a time is a number and s, m or h, got ${JSON.stringify(text)}`);
  return Number(match[1]) * { s: 1000, m: 60_000, h: 3_600_000 }[/** @type {"s" | "m" | "h"} */ (match[2])];
}

async function range() {
  const from = Number(values.from);
  const untilMs = values.for === undefined ? undefined : Date.now() + milliseconds(values.for);
  const count = untilMs === undefined ? Number(values.seeds ?? 2000) : Number.MAX_SAFE_INTEGER - from;
  const simulator = await makeSimulator(chosenMutant());
  try {
    await seeds(simulator.url, from, count, untilMs);
  } finally {
    simulator.remove();
  }
}

/**
 * @param {string} url
 * @param {number} from
 * @param {number} count
 * @param {number} [untilMs]
 */
async function seeds(url, from, count, untilMs) {
  const began = Date.now();
  let told = began;
  const { ran, events, failures } = await runSeeds(url, {
    from,
    count,
    ...(untilMs === undefined ? {} : { untilMs }),
    onRange: (soFar, found) => {
      for (const failure of found) console.log(describe(failure));
      if (Date.now() - told < 30_000) return;
      told = Date.now();
      console.log(`${soFar} seeds, ${Math.round((told - began) / 1000)} s`);
    },
  });
  const tookMs = Date.now() - began;
  console.log(
    `${ran} seeds from ${from}: ${failures.length} failed, ${events} events, ${(tookMs / 1000).toFixed(1)} s, ${(tookMs / Math.max(1, ran)).toFixed(2)} ms each`,
  );
  passed += ran - failures.length;
  failed += failures.length;
  const [first] = failures;
  if (first !== undefined) await show(url, first);
}

/** @param {Failure} failure */
function describe({ seed, invariant, detail }) {
  return `seed ${seed}: ${invariant}: ${detail}`;
}

/**
 * Shrinks a seed that fails, and shows what is left.
 *
 * @param {string} url
 * @param {Failure} failure
 */
async function show(url, { seed, invariant }) {
  /** @type {Simulator} */
  const { draw, run, shrink } = await import(url);
  const fails = async (/** @type {Scenario} */ scenario) => {
    const found = (await run(scenario)).findings.map((finding) => finding.invariant);
    // A scenario that makes no sense is no smaller one.
    return found.includes(invariant) && (invariant === broken || !found.includes(broken));
  };
  const scenario = draw(seed);
  if (!(await fails(scenario))) return;
  const small = await shrink(scenario, fails);
  const { transcript, findings } = await run(small);
  console.log(
    `\nseed ${seed}, shrunk:\n${JSON.stringify(small, undefined, 1)}\n\n${transcript.join("\n")}\n`,
  );
  for (const finding of findings) console.log(`${finding.invariant}: ${finding.detail}`);
  const { keep } = values;
  if (keep !== undefined) {
    mkdirSync(regressions, { recursive: true });
    writeFileSync(
      new URL(`${keep}.json`, regressions),
      `${JSON.stringify({ invariant, seed, scenario: small }, undefined, 2)}\n`,
    );
    console.log(`kept as regressions/${keep}.json`);
  } else console.log(`\npnpm simulate --seed ${seed} --keep <name> keeps it as a regression.`);
}

/** @param {number} seed */
async function replay(seed) {
  const simulator = await makeSimulator(chosenMutant());
  try {
    /** @type {Simulator} */
    const { draw, hashOf, run } = await import(simulator.url);
    const scenario = draw(seed);
    const result = await run(scenario);
    const { transcript, findings, elapsedMs, events } = result;
    console.log(`${JSON.stringify(scenario, undefined, 1)}\n\n${transcript.join("\n")}\n`);
    console.log(`seed ${seed}: ${events} events in ${elapsedMs} ms of virtual time, ${hashOf(result)}`);
    const [finding] = findings;
    if (finding === undefined) passed += 1;
    else {
      failed += 1;
      await show(simulator.url, { seed, ...finding });
    }
  } finally {
    simulator.remove();
  }
}

async function ci() {
  const simulator = await makeSimulator();
  try {
    await runRegressions(simulator.url);
    await seeds(simulator.url, 0, ciSeeds);
    // Other seeds every time, so that what nobody has seen yet has a chance.
    await seeds(
      simulator.url,
      1_000_000_000 + (Date.now() % 1_000_000_000),
      Number.MAX_SAFE_INTEGER / 2,
      Date.now() + ciFreshMs,
    );
  } finally {
    simulator.remove();
  }
  for (const mutant of mutants) {
    try {
      mutated(mutant);
      passed += 1;
    } catch (error) {
      failed += 1;
      console.log(/** @type {Error} */ (error).message);
    }
  }
}

/** @param {string} url */
async function runRegressions(url) {
  /** @type {Simulator} */
  const { run } = await import(url);
  for (const file of readdirSync(regressions)) {
    const { scenario } = JSON.parse(readFileSync(new URL(file, regressions), "utf8"));
    const { findings, transcript } = await run(scenario);
    const [finding] = findings;
    if (finding === undefined) passed += 1;
    else {
      failed += 1;
      console.log(`regression ${file}: ${finding.invariant}: ${finding.detail}\n${transcript.join("\n")}`);
    }
  }
}

/** @param {string | undefined} part */
async function huntMutants(part) {
  console.log("| mutant | seeds | found by |\n| --- | --- | --- |");
  for (const mutant of mutants) {
    if (part !== undefined && !mutant.name.includes(part)) continue;
    const simulator = await makeSimulator(mutant);
    try {
      const { failures } = await runSeeds(simulator.url, {
        from: Number(values.from),
        count: mutantSeeds,
        untilFound: true,
      });
      const [first] = failures;
      if (first === undefined) {
        failed += 1;
        console.log(`| ${mutant.name} | NOT FOUND in ${mutantSeeds} | |`);
      } else {
        passed += 1;
        console.log(`| ${mutant.name} | ${first.seed - Number(values.from) + 1} | ${first.invariant} |`);
      }
    } catch (error) {
      // It broke the process itself, which is found, too.
      passed += 1;
      console.log(`| ${mutant.name} | ? | ${/** @type {Error} */ (error).message.replaceAll("|", "/")} |`);
    } finally {
      simulator.remove();
    }
  }
}
