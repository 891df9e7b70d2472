// Links between the documents of the repository: the file has to be there, and the heading in it. A package's README is
// read on its package page too, where a link that leaves the package's folder leads nowhere.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "../workspace.mjs";

const SKIPPED = new Set(["node_modules", "dist", ".git", ".turbo"]);

/** One line for each link that leads nowhere. */
export function brokenLinks() {
  return documents(".").flatMap((document) => {
    const text = withoutCode(readFileSync(join(root, document), "utf8"));
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => leavesPackage(document, target) || !leadsSomewhere(document, target))
      .map((target) => `${document}: the link to ${target} leads nowhere`);
  });
}

function documents(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return documents(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

function leavesPackage(document, target) {
  const folder = /^packages\/[^/]+(?=\/README\.md$)/.exec(document)?.[0];
  return folder !== undefined && !join(folder, target).startsWith(folder);
}

function leadsSomewhere(document, target) {
  const [path, heading] = target.split("#");
  const file = path === "" ? document : normalize(join(dirname(document), decodeURIComponent(path)));
  if (!existsSync(join(root, file))) return false;
  return heading === undefined || anchors(readFileSync(join(root, file), "utf8")).has(heading);
}

/** As the usual viewers make them of headings. */
function anchors(text) {
  const found = new Set();
  for (const [, heading] of withoutCode(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "");
    found.add(words.trim().replaceAll(" ", "-"));
  }
  return found;
}

function withoutCode(text) {
  return text.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "");
}
