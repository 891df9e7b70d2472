import { once } from "node:events";
import { connect } from "node:net";
import { constants, PerformanceObserver } from "node:perf_hooks";
import { expect, it } from "vitest";
import * as glisten from "../../src/index.ts";

const { NODE_PERFORMANCE_GC_MAJOR: major } = constants;
const v8 = Number.parseInt(process.versions.v8, 10);

/** How often the whole heap is collected while `work` goes on. */
async function majorCollections(work: () => Promise<void>): Promise<number> {
  let count = 0;
  const observer = new PerformanceObserver((list) => {
    const entries = list.getEntries() as unknown as readonly { detail: { kind: number } }[];
    count += entries.filter(({ detail }) => detail.kind === major).length;
  });
  observer.observe({ entryTypes: ["gc"] });
  await work();
  await new Promise((resolve) => setTimeout(resolve, 50));
  observer.disconnect();
  return count;
}

// Before V8 13 nothing needs to be done about it, and how often it happens depends on the machine.
it.skipIf(v8 < 13)("much traffic is no reason to collect the whole heap", async () => {
  const total = 512 * 1024 * 1024;
  let received = 0;
  await using server = await glisten
    .new(
      () => undefined,
      (_state, message) => {
        if (message.type === "packet") received += message.data.length;
      },
    )
    .start(0);
  const block = Buffer.alloc(256 * 1024);
  const collections = await majorCollections(async () => {
    const socket = connect(server.port, "127.0.0.1");
    for (let sent = 0; sent < total; sent += block.length) {
      if (!socket.write(block)) await once(socket, "drain");
    }
    socket.end();
    socket.resume();
    await once(socket, "close");
  });
  expect(received).toBe(total);
  // Every 64 MiB would be one, otherwise.
  expect(collections).toBeLessThan(total / (64 * 1024 * 1024) / 2);
});
