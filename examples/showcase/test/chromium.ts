// Debian's (or the system's) Chromium, driven by playwright-core, which brings no browser of its own.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where a browser is on this machine; undefined without one. CHROMIUM names another. */
export const executablePath: string | undefined = [process.env["CHROMIUM"] ?? "", ...PLACES].find(existsSync);

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

/** A browser with an empty profile; closing it removes the profile. */
export async function openBrowser(): Promise<BrowserContext> {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executablePath ?? "",
    args: FLAGS,
    headless: true,
    viewport: { width: 1180, height: 900 },
  });
  context.once("close", () => rmSync(profile, { recursive: true, force: true }));
  return context;
}
