// What the run prints: a block for each case, ours first, then each other with what ours takes of it.

export function machineLines({ processor, cores, memoryGiB, system, pinned, versions }, { rounds, wrk }) {
  const all = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}`,
    all.join(", "),
    `${rounds} interleaved rounds, medians; ${pinned ? "server and load on a core each" : "not pinned to cores"}; ${
      wrk ? "wrk and a checking client make the HTTP load" : "our own client makes the load"
    }`,
  ];
}

export function number(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toString();
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function words(target) {
  if (target.measured === undefined) return `no figure for ${target.against}`;
  const what = target.spreadOf === undefined ? `of ${target.against}` : "between most and least";
  const limit = target.apartAtMost ?? target.atMost;
  const measured = target.apartAtMost === undefined ? target.measured.toFixed(2) : number(target.measured);
  const more = target.apartAtMost === undefined ? "" : " more";
  return `${target.met ? "holds " : "MISSED"} ${measured}${more} ${what}, at most ${number(limit)}`;
}

export function caseLines({ title, unit, figures, ratios, details, targets, skipped }) {
  const lines = [`${title}  (${unit})`];
  for (const [name, figure] of Object.entries(figures)) {
    const ratio = ratios[name] === undefined ? "" : `× ${ratios[name].toFixed(2)}`;
    const { perSecond, p50, p99 } = details[name];
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

export function smokeLine({ title, figures, skipped }) {
  const out = Object.entries(skipped).map(([name, why]) => `; ${name} left out: ${why}`);
  return `right answers: ${title}: ${Object.keys(figures).join(", ")}${out.join("")}`;
}

export function summaryLines(results) {
  const judged = results.flatMap((result) => result.targets.map((target) => ({ result, target })));
  const missed = judged.filter(({ target }) => target.met === false);
  const unknown = judged.filter(({ target }) => target.met === undefined);
  const held = judged.length - missed.length - unknown.length;
  return [
    `${held} of ${judged.length} limits hold${unknown.length > 0 ? `, ${unknown.length} had no peer here` : ""}`,
    ...missed.map(({ result, target }) => `  ${result.title}: ${words(target)}`),
  ];
}
