// The chart of a run: for each case, what ours takes of what another takes; peers above, below them the bare sockets
// that ours stands on. Legible on light and on dark ground.

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

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Bare sockets, which do no more than they must. */
function isFloor(name) {
  return name.startsWith("floor") || name === "node:net" || name === "node:tls";
}

function isOurs(name) {
  return /^(mist|glisten|mug)/.test(name);
}

/** Who a case is shown beside: the first peer it has a limit against, else the floor. */
function besides({ targets, ratios }) {
  const known = targets.map(({ against }) => against).filter((against) => ratios[against] !== undefined);
  return known.find((name) => !isFloor(name) && !isOurs(name)) ?? known[0];
}

function bar({ result, other }, y) {
  const ratio = result.ratios[other];
  const length = Math.min(ratio, longest) * unit;
  const kind = isFloor(other) ? "floor" : ratio > 1 ? "over" : "peer";
  return [
    `  <text class="end" x="${left - 10}" y="${y + 14}">${escape(result.title)}</text>`,
    `  <rect class="${kind}" x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="${row - 8}" rx="2"/>`,
    `  <text x="${(left + length + 6).toFixed(1)}" y="${y + 14}">${ratio.toFixed(2)} <tspan class="quiet">of ${escape(other)}</tspan></text>`,
  ].join("\n");
}

function section(title, bars, y) {
  const lines = [`  <text class="section end" x="${left - 10}" y="${y + 14}">${title}</text>`];
  for (const [i, each] of bars.entries()) lines.push(bar(each, y + (i + 1) * row));
  return lines.join("\n");
}

/** @param results as measured; `facts` says when and on what */
export function chart(results, facts) {
  const shown = results.map((result) => ({ result, other: besides(result) }));
  const peers = shown.filter(({ other }) => other !== undefined && !isFloor(other));
  const floors = shown.filter(({ other }) => other !== undefined && isFloor(other));
  const top = 60;
  const below = top + (peers.length + 1) * row + 10;
  const height = below + (floors.length + 1) * row + 14;
  const one = left + unit;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="What mist, glisten and mug take of what others take">
  <style>${style}
  </style>
  <text class="head" x="14" y="24">What mist, glisten and mug take of what others take: less is better, 1 is the same</text>
  <text class="quiet" x="14" y="44">${escape(facts)}</text>
  <line class="line" x1="${one}" y1="${top}" x2="${one}" y2="${height - 10}"/>
${section("beside peers", peers, top)}
${section("above bare sockets", floors, below)}
</svg>
`;
}
