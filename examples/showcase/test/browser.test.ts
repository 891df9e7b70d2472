// The page in a real browser: every card does what it says, and over TLS the live ones do it over HTTP/2.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";
import { executablePath, openBrowser } from "./chromium.ts";

const VIEWPORT = { width: 1180, height: 900 };

/** What axe finds on a page. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

describe.skipIf(executablePath === undefined)("the page, in Chromium", () => {
  const faults: string[] = [];
  let folder: string;
  let program: Program;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "showcase-"));
    program = await startProgram("showcase");
    browser = await openBrowser();
    page = await open();
  });

  afterAll(async () => {
    const folderOfShots = process.env["SCREENSHOTS"];
    if (folderOfShots !== undefined)
      await page?.screenshot({ path: join(folderOfShots, "page.png"), fullPage: true });
    await browser?.close();
    await program?.stop();
    rmSync(folder, { recursive: true });
  });

  async function open(): Promise<Page> {
    const tab = await browser.newPage({ viewport: VIEWPORT });
    tab.setDefaultTimeout(20_000);
    tab.on("pageerror", (error) => faults.push(error.message));
    tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    await tab.goto(program.url);
    return tab;
  }

  const answer = (id: string, pattern: RegExp) => page.locator(`#${id}`, { hasText: pattern }).textContent();

  test("tells the time, live", async () => {
    await page.locator("#live-state[data-state=live]").waitFor();
    await page.locator("#clock", { hasText: /^\d\d:\d\d:\d\d$/ }).waitFor();
    const first = await page.locator("#clock").textContent();
    await page.waitForFunction((before) => document.querySelector("#clock")?.textContent !== before, first);
    expect(Number(await page.locator("#requests").textContent())).toBeGreaterThan(5);
  });

  test("a page that opens has the chart of the time before it", async () => {
    const points = (tab: Page) =>
      tab.evaluate(() => document.querySelector(".chart-line")!.getAttribute("d")!.split("L").length);
    await expect.poll(() => points(page), { timeout: 15_000 }).toBeGreaterThan(2);
    const other = await open();
    await other.locator(".chart-line[d^=M]").waitFor({ state: "attached" });
    expect(await points(other)).toBeGreaterThan(2);
    expect(await other.locator(".mark").allTextContents()).toEqual(["1 KiB/s", "1 MiB/s", "1 GiB/s"]);
    await other.close();
  });

  test("has one h1, and the source of each card", async () => {
    expect(await page.locator("h1").allTextContents()).toEqual(["mist"]);
    const hrefs = await page
      .locator(".route a")
      .evaluateAll((links) => links.map((link) => link.getAttribute("href")!));
    expect(hrefs.length).toBe(await page.locator(".card").count());
    for (const href of hrefs) {
      const response = await page.request.get(`${program.url}${href}`);
      expect([href, response.status()]).toEqual([href, 200]);
    }
  });

  test("came over HTTP/1.1, as cleartext does", async () => {
    expect(await answer("protocol", /./)).toBe("http/1.1");
  });

  test("echoes what is posted", async () => {
    await page.fill("#echo-text", "Ahoj 👋");
    await page.click("#echo-form button");
    expect(await answer("echo-answer", /200/)).toContain("Ahoj 👋");
  });

  test("uploads a file and proves that it arrived", async () => {
    const file = join(folder, "small.txt");
    writeFileSync(file, "a small file");
    await page.setInputFiles("#upload-file", file);
    expect(await answer("upload-answer", /SHA-256/)).toContain("12 B in 1 pieces");
    await page.locator("#upload-answer .good", { hasText: "the same here" }).waitFor();
  });

  test("shows what the server has received while a big upload is under way", async () => {
    await page.evaluate(() => {
      const seen: number[] = [];
      Object.assign(window, { seen });
      const bar = document.querySelector("#upload-progress") as HTMLProgressElement;
      new MutationObserver(() => seen.push(bar.value)).observe(bar, { attributes: true });
    });
    await page.click("#upload-sample");
    await page.locator("#upload-answer", { hasText: /64\.0 MiB in/ }).waitFor();
    await page.locator("#upload-answer .good").waitFor();
    const seen = await page.evaluate(() => (window as unknown as { seen: number[] }).seen);
    expect(seen.filter((value) => value > 0 && value < 1).length).toBeGreaterThan(0);
    expect(await page.locator("#upload-progress + .percent").textContent()).toBe("100 %");
  });

  test("streams an answer of unknown length, and stops when told to", async () => {
    await page.fill("#download-count", "20000");
    await page.click("#download-form [type=submit]");
    expect(await answer("download-answer", /the last one/)).toMatch(/20,000 primes.*\n?the last one: 224737/);
    await page.fill("#download-count", "5000000");
    await page.click("#download-form [type=submit]");
    await answer("download-answer", /[1-9].* primes/);
    await page.click("#download-cancel");
    await answer("download-answer", /the server has stopped too/);
  });

  test("gives a part of a file, and nothing when it is known", async () => {
    await page.click("#file-range");
    expect(await answer("file-answer", /206/)).toContain("content-range: bytes 0-119/");
    await page.click("#file-again");
    expect(await answer("file-answer", /304/)).toContain("if-none-match");
  });

  test("downloads the program behind the page", async () => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#file-download")]);
    const source = readFileSync(new URL("../src/main.ts", import.meta.url), "utf8");
    expect(readFileSync(await download.path(), "utf8")).toBe(source);
  });

  test("chats between two tabs", async () => {
    const other = await open();
    await other.fill("#chat-name", "Ada");
    await other.press("#chat-name", "Tab");
    await page.locator("#chat-people", { hasText: "Ada" }).waitFor();
    await page.fill("#chat-text", "is there anybody out there?");
    await page.press("#chat-text", "Enter");
    await other.locator("#chat-log", { hasText: "is there anybody out there?" }).waitFor();
    await other.fill("#chat-text", "just nod if you can hear me");
    await other.press("#chat-text", "Enter");
    await page.locator("#chat-log li", { hasText: "Ada" }).filter({ hasText: "just nod" }).waitFor();
    await other.close();
    await page.locator("#chat-log", { hasText: "Ada left" }).waitFor();
  });

  test.each(["light", "dark"] as const)("is accessible, %s", async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  });

  test("fits a phone without scrolling sideways", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    const [content, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      window.innerWidth,
    ]);
    expect(content).toBeLessThanOrEqual(screen!);
    await page.setViewportSize(VIEWPORT);
  });

  test("and none of it leaves a fault in the console", () => {
    expect(faults).toEqual([]);
  });
});

describe.skipIf(executablePath === undefined)("the page when the server goes, in Chromium", () => {
  test("says that its figures are old", async () => {
    const program = await startProgram("showcase");
    const browser = await openBrowser();
    try {
      const page = await browser.newPage({ viewport: VIEWPORT });
      page.setDefaultTimeout(20_000);
      await page.goto(program.url);
      await page.locator("#clock", { hasText: /^\d/ }).waitFor();
      expect(await page.locator("#live-stale").isVisible()).toBe(false);
      await program.stop();
      await page.locator("#live-state[data-state=lost]").waitFor();
      expect(await page.locator("#live-stale").textContent()).toMatch(/^Connection lost. As of \d/);
      await page.locator("#chat-form [type=submit]:disabled").waitFor();
      expect(await violations(page)).toEqual([]);
    } finally {
      await browser.close();
      await program.stop();
    }
  });
});

describe.skipIf(executablePath === undefined)("the page over TLS, in Chromium", () => {
  const faults: string[] = [];
  let folder: string;
  let program: Program;
  let browser: Browser;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "showcase-tls-"));
    const [CERT, KEY] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    execFileSync("openssl", ["req", "-x509", ...curve, ...names, "-keyout", KEY, "-out", CERT], {
      stdio: "ignore",
    });
    program = await startProgram("showcase", { CERT, KEY });
    browser = await openBrowser("--ignore-certificate-errors");
  });

  afterAll(async () => {
    await browser?.close();
    await program?.stop();
    rmSync(folder, { recursive: true });
  });

  async function open(): Promise<Page> {
    const tab = await browser.newPage({ viewport: VIEWPORT, ignoreHTTPSErrors: true });
    tab.setDefaultTimeout(20_000);
    tab.on("pageerror", (error) => faults.push(error.message));
    tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    await tab.goto(`https://localhost:${program.port}`);
    return tab;
  }

  test("came over HTTP/2, and so do its event stream and its WebSocket: one connection for all", async () => {
    const page = await open();
    expect(await page.locator("#protocol", { hasText: /./ }).textContent()).toBe("h2");
    await page.locator("#live-state[data-state=live]").waitFor();
    await page.locator("#chat-people", { hasText: await page.inputValue("#chat-name") }).waitFor();
    await page.locator("#connections", { hasText: /^1$/ }).waitFor();
    await page.locator("#streams", { hasText: /^2$/ }).waitFor();
    await page.context().close();
  });

  test("two tabs chat", async () => {
    const [one, other] = [await open(), await open()];
    await other.fill("#chat-name", "Ada");
    await other.press("#chat-name", "Tab");
    await one.locator("#chat-people", { hasText: "Ada" }).waitFor();
    await one.fill("#chat-text", "is there anybody out there?");
    await one.press("#chat-text", "Enter");
    await other.locator("#chat-log", { hasText: "is there anybody out there?" }).waitFor();
    await other.close();
    await one.locator("#chat-log", { hasText: "Ada left" }).waitFor();
  });

  test("a WebSocket closes cleanly, whoever closes it", async () => {
    const page = await open();
    const closed = await page.evaluate(async () => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/chat?name=Bob`);
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      const over = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
      socket.close(4000, "enough");
      const { code, reason, wasClean } = await over;
      return { code, reason, wasClean };
    });
    // What the server answered: the code, without the reason.
    expect(closed).toEqual({ code: 4000, reason: "", wasClean: true });

    const told = page.evaluate(async () => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/chat?name=Bob`);
      await new Promise((resolve) => socket.addEventListener("open", resolve));
      document.title = "open";
      const over = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
      const { code, reason, wasClean } = await over;
      return { code, reason, wasClean };
    });
    await page.waitForFunction(() => document.title === "open");
    expect(faults).toEqual([]);
    expect(await program.stop()).toBe(0);
    expect(await told).toEqual({ code: 1001, reason: "the server is stopping", wasClean: true });
  });
});
