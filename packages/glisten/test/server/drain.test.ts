/** The moment between `stop` and the end of listening, played by a server whose clients do as they are told. */

import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Drain } from "../../src/server/drain.ts";

/** Clients that never cease to arrive, one of whom shakes hands until it was looked at five times. */
function crowd(): { looks: number; isListening: boolean } & Parameters<Drain["lastArrivals"]>[0] {
  let taken = 0;
  return {
    looks: 0,
    isListening: true,
    waiting: false,
    backlog: 100,
    get taken() {
      taken += 1;
      return taken;
    },
    get handshaking() {
      this.looks += 1;
      return this.looks <= 5;
    },
    closeListener() {
      this.isListening = false;
    },
  };
}

describe("the last arrivals", () => {
  it.each([
    ["come to an end though clients never cease to, and may shake hands all the same", 60_000, 6],
    ["are nobody without a deadline to come in", 0, 0],
  ])("%s", async (_, deadlineMs, looks) => {
    const drain = new Drain();
    drain.plan(0, deadlineMs);
    const server = crowd();
    await drain.lastArrivals(server);
    expect([server.isListening, server.looks]).toEqual([false, looks]);
  });

  // More clients connect during a long turn, which closing the socket behind it would reset.
  it.each([
    ["a turn of the event loop is short", 10, 10],
    ["no turn has been short for a tenth of a second", 1_000, 51],
  ])("are waited for until %s", async (_, longTurns, waited) => {
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    let [turns, isListening] = [0, true];
    const work = (): void => {
      now += 2;
      turns += 1;
      if (isListening && turns < longTurns) setImmediate(work);
    };
    setImmediate(work);
    const closeListener = (): void => {
      isListening = false;
    };
    const drain = new Drain();
    drain.plan(0, 60_000);
    await drain.lastArrivals({ taken: 0, backlog: 1, waiting: false, handshaking: false, closeListener });
    expect(turns).toBe(waited);
  });

  it("are waited for no longer once the deadline has come nearer", async () => {
    const drain = new Drain();
    drain.plan(0, 60_000);
    const server = {
      taken: 0,
      backlog: 1,
      waiting: true,
      handshaking: false,
      closeListener: () => drain.plan(0, 20),
    };
    await drain.lastArrivals(server);
    expect(drain.left).toBe(0);
  });
});

describe("a plan", () => {
  it("begins after its delay, and ends its deadline after that", async () => {
    const drain = new Drain();
    const begun = new Promise<number>((resolve) => drain.plan(20, 60_000, () => resolve(drain.left!)));
    expect([drain.signal.aborted, drain.left]).toEqual([true, undefined]);
    expect(await begun).toBeGreaterThan(59_000);
    expect(await begun).toBeLessThanOrEqual(60_000);
  });

  it.each([
    ["begins sooner by one without a delay, and ends no later than it would have", [0, 200_000], 160_000],
    ["ends sooner by one with a shorter deadline", [0, 10], 10],
  ] as const)("%s", (_, [delayMs, deadlineMs], most) => {
    const drain = new Drain();
    const begun: string[] = [];
    drain.plan(100_000, 60_000, () => begun.push("first"));
    drain.plan(delayMs, deadlineMs, () => begun.push("second"));
    expect(begun).toEqual(["second"]);
    expect(drain.left).toBeLessThanOrEqual(most);
    drain.plan(0, 500_000, () => begun.push("third"));
    drain.plan(5_000, 500_000, () => begun.push("fourth"));
    expect(begun).toEqual(["second"]);
    expect(drain.left).toBeLessThanOrEqual(most);
  });

  it("aborts one signal, whether it was asked for before or behind", () => {
    const drain = new Drain();
    const { signal } = drain;
    expect(signal.aborted).toBe(false);
    drain.plan(0, 0);
    drain.plan(0, 0);
    expect(drain.signal).toBe(signal);
    expect(signal.reason).toMatchObject({ name: "AbortError", message: "The server is stopping" });
    const late = new Drain();
    late.plan(0, 0);
    expect(late.signal.aborted).toBe(true);
  });
});
