// Virtual time for a test: one clock for mist, glisten and mug.

import { type VirtualClock, virtualClock } from "@x/glisten/testing";
import { useClock } from "@x/mug/testing";
import { onTestFinished } from "vitest";

/** Has everything that is started from now on, until the test is over, go by the clock that is returned. */
export function stopTime(wallTime?: number): VirtualClock {
  const clock = virtualClock({ wallTime });
  const driven = useClock(clock);
  onTestFinished(() => {
    driven[Symbol.dispose]();
    clock[Symbol.dispose]();
  });
  return clock;
}
