// The API reference: a Markdown page for each entry point, generated from the declarations and their comments.

/** @import { Comment, Entry, Export } from "./surface.mjs" */

/**
 * Where an export has its article.
 *
 * @typedef {Map<ts.Symbol, { entry: Entry, name: string }>} Homes
 */

/**
 * Resolves the links in a text.
 *
 * @typedef {(text: string) => string} Link
 */

import ts from "typescript";
import { commentOf, print } from "./surface.mjs";

/**
 * The text of every page by its file name. An export that several entry points share is on the page of the first.
 *
 * @param {Entry[]} entries
 * @param {ts.TypeChecker} checker
 */
export function reference(entries, checker) {
  /** @type {Homes} */
  const homes = new Map();
  for (const entry of entries) {
    for (const { symbol, name, from } of entry.exports)
      if (from === undefined && !homes.has(symbol)) homes.set(symbol, { entry, name });
  }
  /** @type {Record<string, string>} */
  const pages = { "README.md": contents(entries) };
  for (const entry of entries) pages[`${entry.slug}.md`] = page(entry, homes, entries, checker);
  return pages;
}

/** @param {Entry[]} entries */
function contents(entries) {
  const rows = entries.map((entry) => {
    const values = entry.exports.filter((one) => one.from === undefined && groupOf(one) !== "types");
    const names = values.toSorted(byName).map(({ name }) => `\`${name}\``);
    return `| [\`${entry.specifier}\`](${entry.slug}.md) | ${names.join(" ")} |`;
  });
  return `${[
    "# API reference",
    "",
    "Generated from the declarations and their comments by `pnpm run docs`.",
    "",
    "| entry point | functions, values and classes |",
    "|---|---|",
    ...rows,
  ].join("\n")}\n`;
}

/**
 * @param {Entry} entry
 * @param {Homes} homes
 * @param {Entry[]} entries
 * @param {ts.TypeChecker} checker
 */
function page(entry, homes, entries, checker) {
  /** @type {Export[]} */
  const own = [];
  /** @type {Export[]} */
  const shared = [];
  for (const one of entry.exports.toSorted(byName)) {
    if (one.from === undefined && homes.get(one.symbol)?.entry === entry) own.push(one);
    else shared.push(one);
  }
  const link = linker(entry, homes);
  const text = [`# \`${entry.specifier}\``, "", introduction(entry)];
  for (const [group, title] of Object.entries(titles)) {
    const members = own.filter((one) => groupOf(one) === group);
    if (members.length === 0) continue;
    text.push(`## ${title}`, "", ...members.flatMap((one) => article(one, link, checker)));
  }
  if (shared.length > 0)
    text.push("## Re-exports", "", ...shared.map((one) => elsewhere(one, homes, entries)), "");
  return `${text
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}

/** @param {Entry} entry */
function introduction({ source }) {
  const comment = /^\s*\/\*\*([\s\S]*?)\*\//.exec(source.text)?.[1] ?? "";
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, ""));
  const end = lines.findIndex((line) => line.startsWith("@"));
  return `${(end < 0 ? lines : lines.slice(0, end)).join("\n").trim()}\n`;
}

/** The sections of a page. */
const titles = { functions: "Functions and values", classes: "Classes", types: "Types" };

/**
 * @param {Export} one
 * @returns {keyof typeof titles}
 */
function groupOf({ declarations, typeOnly }) {
  const first = declarations[0];
  if (typeOnly || first === undefined) return "types";
  if (ts.isClassDeclaration(first)) return "classes";
  return ts.isFunctionDeclaration(first) || ts.isVariableStatement(first) ? "functions" : "types";
}

/**
 * @param {Export} one
 * @param {Link} link
 * @param {ts.TypeChecker} checker
 */
function article(one, link, checker) {
  const comments = one.declarations.flatMap((declaration) => commentOf([declaration]) ?? []);
  const code = print(one, checker);
  return [
    `### ${one.name}`,
    "",
    "```ts",
    code,
    "```",
    "",
    ...comments.flatMap((comment) => words(comment, link)),
  ];
}

/**
 * @param {Comment} comment
 * @param {Link} link
 */
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

/** @param {string} text */
function example(text) {
  if (text.includes("```")) return text;
  return `\`\`\`ts\n${text.replace(/^`([\s\S]*)`$/, "$1")}\n\`\`\``;
}

/**
 * Turns `{@link Name}` into a link if the name has a heading, or else into code.
 *
 * @param {Entry} entry
 * @param {Homes} homes
 * @returns {Link}
 */
function linker(entry, homes) {
  const targets = new Map();
  for (const { name, symbol, from } of entry.exports) {
    if (from !== undefined) continue;
    const home = homes.get(symbol);
    if (home === undefined) continue;
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

/**
 * @param {Export} one
 * @param {Homes} homes
 * @param {Entry[]} entries
 */
function elsewhere({ name, symbol, from }, homes, entries) {
  const home = homes.get(symbol);
  if (home !== undefined) return `- [\`${name}\`](${home.entry.slug}.md#${home.name.toLowerCase()})`;
  const entry = entries.find(({ specifier }) => specifier === from);
  const target =
    entry === undefined ? `\`${from}\`` : `[\`${from}\`](${entry.slug}.md#${name.toLowerCase()})`;
  return `- \`${name}\`, of ${target}`;
}

/**
 * Orders by code unit, which is the same everywhere.
 *
 * @param {Export} a
 * @param {Export} b
 */
function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}
