import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { currentDate } from "../../src/server/exchange/current-date.ts";

describe("current date", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.UTC(1994, 10, 6, 8, 49, 37, 400) });
  });
  afterEach(() => {
    vi.runAllTimers();
    vi.useRealTimers();
  });

  it("is the second that is under way, and the next as soon as that has begun", () => {
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    vi.advanceTimersByTime(599);
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    vi.advanceTimersByTime(1);
    expect(currentDate()).toBe("Sun, 06 Nov 1994 08:49:38 GMT");
  });

  it("keeps no timer while nobody asks", () => {
    currentDate();
    vi.advanceTimersByTime(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
