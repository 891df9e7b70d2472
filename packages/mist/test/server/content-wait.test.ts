// The rate a body must keep, on a clock of the test's own.

import { performance } from "node:perf_hooks";
import { afterEach, expect, it, vi } from "vitest";
import { ContentWait } from "../../src/server/exchange/content-wait.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const clock = () => {
  let now = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  return (ms: number) => {
    now += ms;
  };
};

it.each([
  ["nothing for as long as the grace lasts", 4_000, 0, 240, false],
  ["nothing for longer", 6_000, 0, 240, true],
  ["a byte a second", 20_000, 20, 240, true],
  ["just enough", 10_000, 2_400, 240, false],
  ["just too little", 10_000, 2_399, 240, true],
  ["nothing, where no rate is asked for", 60_000, 0, 0, false],
])("%s", (_, waitedMs, received, rate, slow) => {
  const pass = clock();
  const wait = new ContentWait();
  wait.begin();
  pass(waitedMs);
  wait.count();
  expect(wait.tooSlow(received, rate)).toBe(slow);
});

it("counts waiting only, not the time a handler takes", () => {
  const pass = clock();
  const wait = new ContentWait();
  for (let i = 0; i < 10; i++) {
    wait.begin();
    pass(100);
    wait.count();
    wait.end();
    pass(10_000);
  }
  expect(wait.totalMs).toBe(1000);
  expect(wait.tooSlow(0, 240)).toBe(false);
});
