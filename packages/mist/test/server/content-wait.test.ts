// The rate a body must keep, on a clock of the test's own.

import { performance } from "node:perf_hooks";
import { afterEach, expect, it, vi } from "vitest";
import * as mist from "../../src/index.ts";
import { ContentWait } from "../../src/server/exchange/content-wait.ts";
import { pump, settled } from "../conformance/fake-connection.ts";

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
  expect(received < wait.bytesDue(rate)).toBe(slow);
});

it("counts waiting only, not the time a handler takes", () => {
  const pass = clock();
  const wait = new ContentWait();
  for (let i = 0; i < 10; i++) {
    wait.begin();
    pass(100);
    expect(wait.bytesDue(240)).toBe(0);
    wait.end();
    pass(10_000);
  }
  expect(wait.tooSlow(240).timeoutMs).toBe(1000);
});

it("rejects the reader with the rate in bytes per second", async () => {
  const pass = clock();
  const failures: unknown[] = [];
  const connection = pump(async (request) => {
    await mist.readBody(request, { maxBodyLimit: 100 }).catch((error: unknown) => failures.push(error));
    return mist.response(200);
  });
  connection.protocol?.data(Buffer.from("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"));
  pass(6_000);
  connection.protocol?.data(Buffer.from("x"));
  await settled();
  expect(failures).toMatchObject([
    {
      name: "RequestTimeoutError",
      message: "the request body came in at less than 240 bytes per second for 6000 ms (minBodyRate)",
      deadline: "minBodyRate",
      timeoutMs: 6_000,
      status: 408,
    },
  ]);
  expect(connection.output).toContain("connection: close\r\n");
});
