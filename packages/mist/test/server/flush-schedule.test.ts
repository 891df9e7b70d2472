import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { joinsFlush, scheduleFlush } from "../../src/server/flush-schedule.ts";

/** A broadcast's worth. */
const crowd = 100;

let now = 0;
let written: number[] = [];
const tick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

/** Writers as there are clients: each is scheduled once until it has written, and then tells that it has more. */
class Writer {
  /** How long it takes to write, in milliseconds. */
  costs = 0;
  waiting = 0;

  send(): void {
    if (this.waiting++ === 0) scheduleFlush(this);
    else joinsFlush();
  }

  runScheduledFlush(): void {
    now += this.costs;
    written.push(this.waiting);
    this.waiting = 0;
  }
}

function writers(count: number): Writer[] {
  return Array.from({ length: count }, () => new Writer());
}

function sendToAll(to: readonly Writer[]): void {
  for (const writer of to) writer.send();
}

/** Has the last broadcast have taken so long, in milliseconds. */
async function writeFor(ms: number): Promise<void> {
  const all = writers(crowd);
  for (const writer of all) writer.costs = ms / crowd;
  sendToAll(all);
  await turn();
  await turn();
  written = [];
}

beforeEach(() => {
  now = 0;
  written = [];
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

describe("what is sent outside of a handler", () => {
  it("leaves before the event loop goes on", async () => {
    sendToAll(writers(3));
    expect(written).toEqual([]);
    await tick();
    expect(written).toEqual([1, 1, 1]);
  });

  it("does so while a broadcast waits, too", async () => {
    sendToAll(writers(crowd));
    await tick();
    sendToAll(writers(1));
    await tick();
    expect(written).toEqual([1]);
    await turn();
    expect(written).toHaveLength(crowd + 1);
  });
});

describe("a broadcast", () => {
  it("leaves when the event loop has brought what there was; what was published meanwhile shares its writes", async () => {
    await writeFor(0);
    const all = writers(crowd);
    sendToAll(all);
    await tick();
    sendToAll(all);
    await tick();
    expect(written).toEqual([]);
    await turn();
    expect(written).toEqual(all.map(() => 2));
  });

  it("to others leaves with it", async () => {
    await writeFor(0);
    sendToAll(writers(crowd));
    await tick();
    sendToAll(writers(crowd));
    await turn();
    expect(written).toHaveLength(2 * crowd);
  });

  it("waits on while every turn brings more, no longer than the last one took to write", async () => {
    await writeFor(10);
    const all = writers(crowd);
    sendToAll(all);
    for (let ms = 1; ms <= 10; ms++) {
      await turn();
      expect(written).toEqual([]);
      now += 1;
      sendToAll(all);
    }
    await turn();
    expect(written).toEqual(all.map(() => 11));
  });

  it("leaves with the first turn that brings none", async () => {
    await writeFor(10);
    const all = writers(crowd);
    sendToAll(all);
    await turn();
    sendToAll(all);
    await turn();
    expect(written).toEqual([]);
    all[0]!.send();
    await turn();
    expect(written).toEqual(all.map((writer) => (writer === all[0] ? 3 : 2)));
  });

  it("waits for 25 ms at most, however long the last one took", async () => {
    await writeFor(1000);
    const all = writers(crowd);
    sendToAll(all);
    await turn();
    now += 24;
    sendToAll(all);
    await turn();
    expect(written).toEqual([]);
    now += 1;
    sendToAll(all);
    await turn();
    expect(written).toEqual(all.map(() => 3));
  });
});
