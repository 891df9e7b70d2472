// The chart of a run: for each case, what ours takes of what the peer takes. Legible on light and on dark ground.

const row = 22;
const left = 300;
const width = 860;
const scale = 330;
const top = 66;

const style = `
    text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
    .head { font-size: 15px; font-weight: 600 }
    .quiet { fill: #656d76 }
    .end { text-anchor: end }
    .bar { fill: #2f81f7 }
    .over { fill: #bc4c00 }
    .line { stroke: #8c959f; stroke-width: 1 }
    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #9198a1 } .over { fill: #f0883e } }`;

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Which peer a case is shown beside: the last one it has a limit against, the floor if there is none else. */
function peerOf({ targets, ratios }) {
  const known = targets.filter(({ against, apartAtMost }) => {
    return apartAtMost === undefined && ratios[against] !== undefined;
  });
  return (known.find(({ against }) => !against.startsWith("floor")) ?? known[0])?.against;
}

function bar(result, index) {
  const peer = peerOf(result);
  const ratio = result.ratios[peer];
  const y = top + index * row;
  const length = Math.min(ratio, 1.5) * scale;
  const kind = ratio > 1 ? "bar over" : "bar";
  return [
    `  <text class="end" x="${left - 10}" y="${y + 14}">${escape(result.title)}</text>`,
    `  <rect class="${kind}" x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="${row - 8}" rx="2"/>`,
    `  <text x="${(left + length + 6).toFixed(1)}" y="${y + 14}">${ratio.toFixed(2)} <tspan class="quiet">of ${escape(peer)}</tspan></text>`,
  ].join("\n");
}

/** @param results as measured; `facts` says when and on what */
export function chart(results, facts) {
  const shown = results.filter((result) => peerOf(result) !== undefined);
  const height = top + shown.length * row + 14;
  const one = left + scale;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="What mist, glisten and mug take of what their peers take">
  <style>${style}
  </style>
  <text class="head" x="14" y="24">What mist, glisten and mug take of what the peer takes, less is better</text>
  <text class="quiet" x="14" y="44">${escape(facts)}</text>
  <line class="line" x1="${one}" y1="${top - 8}" x2="${one}" y2="${height - 10}" stroke-dasharray="3 3"/>
  <text class="quiet" x="${one - 8}" y="${top - 2}" style="text-anchor: end">the same</text>
${shown.map(bar).join("\n")}
</svg>
`;
}
