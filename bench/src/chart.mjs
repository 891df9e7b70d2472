// The chart of a run: for each case, our share of what another contestant takes, first beside peers, then beside the
// bare sockets that ours is built on. Legible on light and dark backgrounds.

/** @import { Result } from "./measure.mjs" */

/**
 * A bar.
 *
 * @typedef {{ result: Result, other: string }} Shown
 */

const row = 22;
const left = 300;
const width = 920;
const unit = 330;
const longest = 1.5;

const style = `
    text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
    .head { font-size: 15px; font-weight: 600 }
    .section { font-weight: 600 }
    .quiet { fill: #656d76 }
    .end { text-anchor: end }
    .peer { fill: #2f81f7 }
    .over { fill: #d4792a }
    .floor { fill: #8c959f }
    .line { stroke: #8c959f; stroke-dasharray: 3 3 }
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #9198a1 } }`;

/** @param {string} text */
function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/**
 * Bare sockets, which do no more than they must.
 *
 * @param {string} name
 */
function isFloor(name) {
  return name.startsWith("floor") || name === "node:net" || name === "node:tls";
}

/** @param {string} name */
function isOurs(name) {
  return /^(mist|glisten|mug)/.test(name);
}

/**
 * The contestant a case is shown beside: the first peer it has a limit against, or else the floor.
 *
 * @param {Result} result
 */
function besides({ targets, ratios }) {
  const known = targets.flatMap(({ against }) =>
    against === undefined || ratios[against] === undefined ? [] : [against],
  );
  return known.find((name) => !isFloor(name) && !isOurs(name)) ?? known[0];
}

/**
 * @param {Shown} shown
 * @param {number} y
 */
function bar({ result, other }, y) {
  const ratio = result.ratios[other] ?? 0;
  const length = Math.min(ratio, longest) * unit;
  const kind = isFloor(other) ? "floor" : ratio > 1 ? "over" : "peer";
  return [
    `  <text class="end" x="${left - 10}" y="${y + 14}">${escape(result.title)}</text>`,
    `  <rect class="${kind}" x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="${row - 8}" rx="2"/>`,
    `  <text x="${(left + length + 6).toFixed(1)}" y="${y + 14}">${ratio.toFixed(2)} <tspan class="quiet">of ${escape(other)}</tspan></text>`,
  ].join("\n");
}

/**
 * @param {string} title
 * @param {Shown[]} bars
 * @param {number} y
 */
function section(title, bars, y) {
  const lines = [`  <text class="section end" x="${left - 10}" y="${y + 14}">${title}</text>`];
  for (const [i, each] of bars.entries()) lines.push(bar(each, y + (i + 1) * row));
  return lines.join("\n");
}

/**
 * @param {Result[]} results
 * @param {string} facts when and on what machine
 */
export function chart(results, facts) {
  const shown = results.flatMap((result) => {
    const other = besides(result);
    return other === undefined ? [] : [{ result, other }];
  });
  const peers = shown.filter(({ other }) => !isFloor(other));
  const floors = shown.filter(({ other }) => isFloor(other));
  const top = 60;
  const below = top + (peers.length + 1) * row + 10;
  const height = below + (floors.length + 1) * row + 14;
  const one = left + unit;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="The share of mist, glisten and mug of what others take">
  <style>${style}
  </style>
  <text class="head" x="14" y="24">CPU time, latency or memory of mist, glisten and mug relative to others: less is better, 1 is equal</text>
  <text class="quiet" x="14" y="44">${escape(facts)}</text>
  <line class="line" x1="${one}" y1="${top}" x2="${one}" y2="${height - 10}"/>
${section("beside peers", peers, top)}
${section("above bare sockets", floors, below)}
</svg>
`;
}
