// What a run prints: a block for each case, ours first, then the others with our share of what they take.

/** @import { Extent } from "./figures.mjs" */
/** @import { Machine } from "./machine.mjs" */
/** @import { JudgedTarget, Result } from "./measure.mjs" */

/**
 * @param {Machine} machine
 * @param {Extent} extent
 */
export function machineLines(
  { processor, cores, memoryGiB, system, pinned, versions },
  { rounds, ...loads },
) {
  const tools = [...(loads.wrk ? ["wrk"] : []), ...(loads.h2load ? ["h2load"] : [])];
  const all = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}`,
    all.join(", "),
    `${rounds} interleaved rounds, medians; ${pinned ? "server and load on a core each" : "not pinned to cores"}; ${
      tools.length === 0
        ? "load by our own client"
        : `HTTP load by ${tools.join(" and ")}, and a checking client`
    }`,
  ];
}

/** @param {number} value */
export function number(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toString();
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** @param {JudgedTarget} target */
function words(target) {
  if (target.measured === undefined) return `no figure for ${target.against}`;
  const verdict = target.met ? "holds " : "MISSED";
  if (target.apartAtMost !== undefined)
    return `${verdict} ${number(target.measured)} more than ${target.against}, at most ${number(target.apartAtMost)}`;
  const what = target.spreadOf === undefined ? `of ${target.against}` : "from least to most";
  return `${verdict} ${target.measured.toFixed(2)} ${what}, at most ${number(target.atMost)}`;
}

/** @param {Result} result */
export function caseLines({ title, unit, figures, ratios, details, targets, skipped }) {
  const lines = [`${title}  (${unit})`];
  for (const [name, figure] of Object.entries(figures)) {
    const ratio = ratios[name] === undefined ? "" : `× ${ratios[name].toFixed(2)}`;
    const { perSecond, p50, p99 } = details[name] ?? {};
    const rate = perSecond === undefined ? "" : `${Math.round(perSecond)}/s`;
    const latency = p50 === undefined ? "" : `p50 ${number(p50)} ms`;
    const worst = p99 === undefined ? "" : `p99 ${number(p99)} ms`;
    const columns = [number(figure).padStart(9), ratio.padStart(8), rate.padStart(11), latency, worst];
    lines.push(`  ${name.padEnd(20)} ${columns.join("  ").trimEnd()}`);
  }
  for (const [name, why] of Object.entries(skipped)) lines.push(`  ${name.padEnd(20)} left out: ${why}`);
  for (const target of targets) lines.push(`    ${words(target)}`);
  return lines;
}

/** @param {Result} result */
export function smokeLine({ title, figures, skipped }) {
  const out = Object.entries(skipped).map(([name, why]) => `; ${name} left out: ${why}`);
  return `correct answers: ${title}: ${Object.keys(figures).join(", ")}${out.join("")}`;
}

/** @param {Result[]} results */
export function summaryLines(results) {
  const judged = results.flatMap((result) => result.targets.map((target) => ({ result, target })));
  const missed = judged.filter(({ target }) => target.met === false);
  const unknown = judged.filter(({ target }) => target.met === undefined);
  const held = judged.length - missed.length - unknown.length;
  return [
    `${held} of ${judged.length} limits hold${unknown.length > 0 ? `, ${unknown.length} have no peer here` : ""}`,
    ...missed.map(({ result, target }) => `  ${result.title}: ${words(target)}`),
  ];
}
