// Finds broken links between the documents of the repository: the file must exist, and the heading in it. Packing makes the
// relative links of package READMEs absolute, for the package pages.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "../workspace.mjs";

const skipped = new Set(["node_modules", "dist", ".git", ".turbo"]);

/** One line for each broken link. */
export function brokenLinks() {
  return documents(".").flatMap((document) => {
    const text = withoutCode(readFileSync(join(root, document), "utf8"));
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = ""]) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !leadsSomewhere(document, target))
      .map((target) => `${document}: the link to ${target} is broken`);
  });
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function documents(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return documents(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/**
 * @param {string} document
 * @param {string} target
 */
function leadsSomewhere(document, target) {
  const [path = "", heading] = target.split("#");
  const file = path === "" ? document : normalize(join(dirname(document), decodeURIComponent(path)));
  if (!existsSync(join(root, file))) return false;
  return heading === undefined || anchors(readFileSync(join(root, file), "utf8")).has(heading);
}

/**
 * The anchors that viewers usually make of headings.
 *
 * @param {string} text
 */
function anchors(text) {
  const found = new Set();
  for (const [, heading = ""] of withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "");
    found.add(words.trim().replaceAll(" ", "-"));
  }
  return found;
}

/** @param {string} text */
function withoutCode(text) {
  return text.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
}
