import { virtualClock } from "@x/glisten/testing";
import { describe, expect, it } from "vitest";
import { currentDate } from "../../src/server/exchange/current-date.ts";

describe("current date", () => {
  const wallTime = Date.UTC(1994, 10, 6, 8, 49, 37, 400);

  it("is the second that is under way, and the next as soon as that has begun", async () => {
    currentDate(); // of another clock
    using clock = virtualClock({ wallTime });
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    await clock.advance(599);
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    await clock.advance(1);
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:38 GMT");
  });

  it("keeps no timer while nobody asks", async () => {
    using clock = virtualClock({ wallTime });
    currentDate();
    await clock.advance(1000);
    expect(clock.pendingTimers).toEqual([]);
  });
});
