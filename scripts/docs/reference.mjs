// The API reference: one Markdown page for each entry point, made from the declarations and their comments.

import ts from "typescript";
import { commentOf, print } from "./surface.mjs";

/** The pages, `{ [file]: text }`. An export that several entry points share is told once, on the first one's page. */
export function reference(entries, checker) {
  const homes = new Map();
  for (const entry of entries) {
    for (const { symbol, name, from } of entry.exports)
      if (from === undefined && !homes.has(symbol)) homes.set(symbol, { entry, name });
  }
  const pages = { "README.md": contents(entries) };
  for (const entry of entries) pages[`${entry.slug}.md`] = page(entry, homes, entries, checker);
  return pages;
}

function contents(entries) {
  const rows = entries.map((entry) => {
    const values = entry.exports.filter((one) => one.from === undefined && groupOf(one) !== "types");
    const names = values.toSorted(byName).map(({ name }) => `\`${name}\``);
    return `| [\`${entry.specifier}\`](${entry.slug}.md) | ${names.join(" ")} |`;
  });
  return `${[
    "# API reference",
    "",
    "Made from the declarations and their comments by `pnpm run docs`.",
    "",
    "| entry point | functions, values and classes |",
    "|---|---|",
    ...rows,
  ].join("\n")}\n`;
}

function page(entry, homes, entries, checker) {
  const own = [];
  const shared = [];
  for (const one of entry.exports.toSorted(byName)) {
    if (one.from === undefined && homes.get(one.symbol).entry === entry) own.push(one);
    else shared.push(one);
  }
  const nouns = { classes: [], functions: [], types: [] };
  for (const one of own) nouns[groupOf(one)].push(one);
  const link = linker(entry, homes);
  const sections = [
    ["Functions and values", nouns.functions],
    ["Classes", nouns.classes],
    ["Types", nouns.types],
  ];
  const text = [`# \`${entry.specifier}\``, "", introduction(entry)];
  for (const [title, members] of sections) {
    if (members.length === 0) continue;
    text.push(`## ${title}`, "", ...members.flatMap((one) => article(one, link, checker)));
  }
  if (shared.length > 0)
    text.push("## Told elsewhere", "", ...shared.map((one) => elsewhere(one, homes, entries)), "");
  return `${text
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}

function introduction({ source }) {
  const comment = /^\s*\/\*\*([\s\S]*?)\*\//.exec(source.text)?.[1] ?? "";
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, ""));
  const end = lines.findIndex((line) => line.startsWith("@"));
  return `${(end < 0 ? lines : lines.slice(0, end)).join("\n").trim()}\n`;
}

function groupOf({ declarations, typeOnly }) {
  const first = declarations[0];
  if (typeOnly) return "types";
  if (ts.isClassDeclaration(first)) return "classes";
  return ts.isFunctionDeclaration(first) || ts.isVariableStatement(first) ? "functions" : "types";
}

function article(one, link, checker) {
  const told = one.declarations.map((declaration) => commentOf([declaration])).filter(Boolean);
  const code = print(one, checker);
  return [
    `### ${one.name}`,
    "",
    "```ts",
    code,
    "```",
    "",
    ...told.flatMap((comment) => words(comment, link)),
  ];
}

function words(comment, link) {
  const text = comment.text === "" ? [] : [link(comment.text), ""];
  const parameters = comment.tags.filter((tag) => tag.name === "param" && tag.text !== "");
  for (const tag of parameters) text.push(`- \`${tag.parameter}\`: ${link(tag.text)}`);
  if (parameters.length > 0) text.push("");
  for (const tag of comment.tags) {
    if (tag.name === "returns") text.push(`Returns ${link(tag.text)}`, "");
    if (tag.name === "throws") text.push(`**Throws** ${link(tag.text)}`, "");
    if (tag.name === "example") text.push(example(tag.text), "");
  }
  return text;
}

function example(text) {
  if (text.includes("```")) return text;
  return `\`\`\`ts\n${text.replace(/^`([\s\S]*)`$/, "$1")}\n\`\`\``;
}

/** Turns `{@link Name}` into a link where the name has a heading, and into code otherwise. */
function linker(entry, homes) {
  const targets = new Map();
  for (const { name, symbol, from } of entry.exports) {
    if (from !== undefined) continue;
    const home = homes.get(symbol);
    const file = home.entry === entry ? "" : `${home.entry.slug}.md`;
    targets.set(name, `${file}#${home.name.toLowerCase()}`);
  }
  for (const { entry: other, name } of homes.values())
    if (!targets.has(name)) targets.set(name, `${other.slug}.md#${name.toLowerCase()}`);
  return (text) =>
    text.replaceAll(/\{@link\s+([^}|\s]+)[^}]*\}/g, (_, name) => {
      const target = targets.get(name) ?? targets.get(name.split(".")[0]);
      return target === undefined ? `\`${name}\`` : `[\`${name}\`](${target})`;
    });
}

function elsewhere({ name, symbol, from }, homes, entries) {
  const home = homes.get(symbol);
  if (home !== undefined) return `- [\`${name}\`](${home.entry.slug}.md#${home.name.toLowerCase()})`;
  const entry = entries.find(({ specifier }) => specifier === from);
  const target =
    entry === undefined ? `\`${from}\`` : `[\`${from}\`](${entry.slug}.md#${name.toLowerCase()})`;
  return `- \`${name}\`, of ${target}`;
}

/** By code unit, so that the order is the same everywhere. */
function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}
