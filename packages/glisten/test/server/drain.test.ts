/** The moment between `stop` and the end of listening, played by a server whose clients do as they are told. */

import { describe, expect, it } from "vitest";
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
    drain.within(deadlineMs);
    const server = crowd();
    await drain.lastArrivals(server);
    expect([server.isListening, server.looks]).toEqual([false, looks]);
  });

  it("are waited for no longer once the deadline has come nearer", async () => {
    const drain = new Drain();
    drain.within(60_000);
    const server = {
      taken: 0,
      backlog: 1,
      waiting: true,
      handshaking: false,
      closeListener: () => drain.within(20),
    };
    await drain.lastArrivals(server);
    expect(drain.left).toBe(0);
  });
});
