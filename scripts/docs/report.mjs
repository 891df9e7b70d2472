// API reports: the public surface of each entry point as sorted declarations without comments. They are committed, so
// that a change of the surface shows in review.

import { print, unnamed } from "./surface.mjs";

/** The report of one entry point, as Markdown. */
export function report(entry, entries, checker) {
  const own = entry.exports.filter(({ from }) => from === undefined).sort(byName);
  const others = entry.exports.filter(({ from }) => from !== undefined).sort(byName);
  const parts = [
    ...own.map((one) => print(one, "plain", checker)),
    ...others.map(({ name, from }) => `export { ${name} } from "${from}";`),
  ];
  const reached = unnamed(entry, entries, checker).map((one) => print(one, "plain", checker));
  const text = [`# ${entry.specifier}`, "", "```ts", parts.join("\n\n"), "```"];
  if (reached.length > 0)
    text.push("", "Reached from these, without a name:", "", "```ts", reached.join("\n\n"), "```");
  return `${text.join("\n")}\n`;
}

function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}
