import { fileURLToPath } from "node:url";
import { request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { startProgram } from "../../program.ts";
import { startLoad } from "./load.ts";
import { keepRunning } from "./systemd.ts";

/** An answer that takes a second; resolves when it has begun, with what becomes of it. */
async function slowAnswer(url: string): Promise<{ whole: Promise<string> }> {
  const { body } = await request(`${url}/slow`);
  return { whole: body.text() };
}

const TEN_LINES = /^(?:\d+ of 10 by process \d+\n){10}$/;

describe.runIf(process.platform === "linux")("a service on a socket that its manager holds", () => {
  test("is restarted twice under load, and no request is refused or broken", async () => {
    const program = fileURLToPath(new URL("../dist/main.js", import.meta.url));
    const { port, end } = await keepRunning([process.execPath, program]);
    const load = startLoad(`http://127.0.0.1:${port}/`);
    const slow: Promise<string>[] = [];
    onTestFinished(async () => {
      await load.stop();
      end();
    });
    let known = new Set<number>();
    for (let restarts = 0; restarts < 2; restarts++) {
      await load.someoneElse(known);
      known = new Set(load.answeredBy);
      slow.push((await slowAnswer(`http://127.0.0.1:${port}`)).whole);
      process.kill([...known].at(-1)!, "SIGTERM");
    }
    await load.someoneElse(known);
    for (const answer of slow) expect(await answer).toMatch(TEN_LINES);
    const { answered, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(10);
    expect(load.answeredBy.size).toBe(3);
  });
});

test("the workers of a cluster are replaced under load, and no request is refused or broken", async () => {
  const program = await startProgram("graceful-restart", {}, "cluster.js");
  onTestFinished(async () => void (await program.stop()));
  const load = startLoad(program.url);
  await load.someoneElse(new Set());
  const { whole } = await slowAnswer(program.url);
  const before = new Set(load.answeredBy);
  process.kill(program.pid, "SIGHUP");
  await program.printed(/reloaded/);
  await load.someoneElse(before);
  expect(await whole).toMatch(TEN_LINES);
  const { failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(await program.stop()).toBe(0);
});

test("what is under way when it is told to stop is finished", async () => {
  const program = await startProgram("graceful-restart");
  const { whole } = await slowAnswer(program.url);
  const ended = program.stop();
  expect(await whole).toMatch(TEN_LINES);
  expect(await ended).toBe(0);
  await expect(request(program.url)).rejects.toThrow("ECONNREFUSED");
  expect(program.output()).toContain("1 connections drained, 0 cut off");
});
