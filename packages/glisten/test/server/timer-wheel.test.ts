/** The wheel: never early, hardly late, whatever order deadlines are set, moved and taken back in. */

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Timed, TimerWheel, turnMs } from "../../src/server/timer-wheel.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

class Alarm implements Timed {
  dueTurn = 0;
  slotTurn = 0;
  next: Timed | undefined = undefined;
  previous: Timed | undefined = undefined;
  readonly rang: number[] = [];
  onDue: () => void = () => {};

  due(): void {
    this.rang.push(performance.now());
    this.onDue();
  }
}

describe("the timer wheel", () => {
  it.each([1, 50, 100, 101, 999, 51_100, 51_200, 75_000, 300_000])("is due after %i ms", (ms) => {
    const wheel = new TimerWheel();
    const alarm = new Alarm();
    const since = performance.now();
    wheel.arm(alarm, ms);
    vi.advanceTimersByTime(ms - 1);
    expect(alarm.rang).toEqual([]);
    vi.advanceTimersByTime(2 * turnMs + 1);
    expect(alarm.rang).toHaveLength(1);
    expect(alarm.rang[0]! - since).toBeGreaterThanOrEqual(ms);
    expect(wheel.size).toBe(0);
  });

  it("stops when nothing is armed, and starts again", () => {
    const wheel = new TimerWheel();
    const alarm = new Alarm();
    wheel.arm(alarm, 100);
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
    wheel.arm(alarm, 100);
    vi.advanceTimersByTime(1_000);
    expect(alarm.rang).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may be armed again by the one that is due", () => {
    const wheel = new TimerWheel();
    const alarm = new Alarm();
    alarm.onDue = () => wheel.arm(alarm, 1);
    wheel.arm(alarm, 1);
    vi.advanceTimersByTime(1_000);
    expect(alarm.rang.length).toBeGreaterThanOrEqual(4);
    expect(alarm.rang.length).toBeLessThanOrEqual(10);
    wheel.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("forgets what is removed, even by another that is due at the same time", () => {
    const wheel = new TimerWheel();
    const alarms = [new Alarm(), new Alarm()];
    for (const alarm of alarms) {
      alarm.onDue = () => alarms.forEach((each) => void wheel.remove(each));
      wheel.arm(alarm, 100);
    }
    vi.advanceTimersByTime(1_000);
    expect(alarms.flatMap(({ rang }) => rang)).toHaveLength(1);
    expect(wheel.size).toBe(0);
  });

  it("keeps every deadline of any history", () => {
    const step = fc.record({
      which: fc.integer({ min: 0, max: 3 }),
      action: fc.constantFrom("arm", "arm", "arm", "disarm", "remove"),
      ms: fc.integer({ min: 1, max: 120_000 }),
      wait: fc.integer({ min: 0, max: 20_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const wheel = new TimerWheel();
        const alarms = [0, 1, 2, 3].map(() => new Alarm());
        const armed: (number | undefined)[] = [];
        const check = (): void => {
          const now = performance.now();
          alarms.forEach((alarm, index) => {
            const at = armed[index];
            if (alarm.rang.length > 0) {
              expect(at).toBeDefined();
              expect(alarm.rang[0]!).toBeGreaterThanOrEqual(at!);
              expect(alarm.rang[0]!).toBeLessThanOrEqual(at! + 2 * turnMs);
              expect(alarm.rang.splice(0)).toHaveLength(1);
              armed[index] = undefined;
            } else if (at !== undefined) expect(now).toBeLessThanOrEqual(at + 2 * turnMs);
          });
        };
        for (const { which, action, ms, wait } of steps) {
          const alarm = alarms[which]!;
          wheel[action](alarm, ms);
          armed[which] = action === "arm" ? performance.now() + ms : undefined;
          vi.advanceTimersByTime(wait);
          check();
        }
        vi.advanceTimersByTime(121_000);
        check();
        expect(armed.filter((at) => at !== undefined)).toEqual([]);
        wheel.stop();
      }),
      { numRuns: 60 },
    );
  });
});
