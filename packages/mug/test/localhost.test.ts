// What "localhost" asks of the system's resolver.

import { lookup } from "node:dns/promises";
import { createServer } from "node:net";
import { expect, test, vi } from "vitest";
import * as mug from "../src/index.ts";

vi.mock("node:dns/promises", async (original) => {
  const actual = await original<typeof import("node:dns/promises")>();
  return { ...actual, lookup: vi.fn(actual.lookup) };
});

test("no name server hears of localhost, whatever families it has here", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await vi.waitFor(() => expect(server.address()).not.toBeNull());
  const { port } = server.address() as { port: number };
  await using _socket = await mug.connect({ host: "localhost", port });
  server.close();
  // Asked for both families, the system stops at its own table; asked for one that is not there, it goes on to DNS.
  expect(vi.mocked(lookup).mock.calls.length).toBeGreaterThan(0);
  for (const call of vi.mocked(lookup).mock.calls)
    expect(call).toEqual(["localhost", { family: 0, all: true }]);
});
