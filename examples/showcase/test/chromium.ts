// Debian's (or the system's) Chromium, driven by playwright-core, which brings no browser of its own.

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where a browser is on this machine; undefined without one. CHROMIUM names the one to take instead. */
const { CHROMIUM } = process.env;
export const executablePath: string | undefined = (CHROMIUM === undefined ? PLACES : [CHROMIUM]).find(
  existsSync,
);

/** Quiet: none of the requests a browser makes for itself. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser with an empty profile. `flags` of its command line join those for every test. */
export function openBrowser(...flags: readonly string[]): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath ?? "", args: [...FLAGS, ...flags] });
}
