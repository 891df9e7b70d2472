// The rate a body must keep, on a clock of the test's own.

import { performance } from "node:perf_hooks";
import { afterEach, expect, it, vi } from "vitest";
import { ContentFeed } from "../../src/server/exchange/content-feed.ts";
import { ContentWait } from "../../src/server/exchange/content-wait.ts";
import { IncomingBody } from "../../src/server/exchange/request-body.ts";

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

it("rejects the reader with the rate in bytes per second", async () => {
  const pass = clock();
  const host = {
    service: { deadlines: { bodyIdleMs: 15_000, minBodyRate: 240 } },
    core: { next: () => ({ type: "need-data" }), retainedBytes: 0 },
    awaitContent() {},
  };
  const feed = new ContentFeed(host as never);
  const body = new IncomingBody({ pullBody: (asked) => feed.pull(asked) }, undefined);
  const reading = body.pull();
  pass(6_000);
  feed.feed(body);
  await expect(reading).rejects.toMatchObject({
    name: "RequestTimeoutError",
    message: "the request body came in at less than 240 bytes per second for 6000 ms (minBodyRate)",
    deadline: "minBodyRate",
    timeoutMs: 6_000,
    status: 408,
  });
});
