// The tables of figures in documents say what docs/bench/results.json says.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../workspace.mjs";

/** @type {{ results: { title: string, figures: Record<string, number> }[] }} */
const { results } = JSON.parse(readFileSync(join(root, "docs/bench/results.json"), "utf8"));

const guides = readdirSync(join(root, "docs/guides")).map((file) => `docs/guides/${file}`);

/**
 * Columns whose names are not those of the contestants.
 *
 * @type {Record<string, string>}
 */
const contestants = { "`node:http`, `node:http2`": "node:http", "`ws`": "ws", Fastify: "fastify" };

/**
 * The title of a case by the first cell of its row.
 *
 * @param {string} cell
 */
function titleOf(cell) {
  const short = cell.replace(", µs of processor", "");
  return results.find(({ title }) => title === short || title.startsWith(`${short}, 64 connections`))?.title;
}

/**
 * The cells of measured cases in the tables of a document.
 *
 * @param {string} document
 */
function cellsOf(document) {
  /** @type {string[]} */
  let head = [];
  return readFileSync(join(root, document), "utf8")
    .split("\n")
    .map((line) =>
      line.startsWith("|")
        ? line
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim())
        : [],
    )
    .flatMap((cells, index, lines) => {
      if (lines[index + 1]?.[0]?.startsWith("---")) head = cells;
      const title = titleOf(cells[0] ?? "");
      if (title === undefined) return [];
      const of = head.slice(1).map((name) => contestants[name] ?? name);
      return cells.slice(1).map((cell, column) => ({ title, of: of[column] ?? "", cell }));
    });
}

const documents = ["README.md", ...guides].filter((document) => cellsOf(document).length > 0);

test.each(documents)("%s names the figures that were measured", (document) => {
  const wrong = cellsOf(document).filter(({ title, of, cell }) => {
    const figure = results.find((result) => result.title === title)?.figures[of];
    return cell !== (figure?.toFixed(cell.includes(".") ? 2 : 0) ?? "–");
  });
  expect(wrong).toEqual([]);
});

test("the page of costs has figures", () => {
  expect(cellsOf("docs/guides/costs.md").length).toBeGreaterThan(30);
  expect(cellsOf("README.md").length).toBe(5);
});
