// The tables: no step leads out of an end, and nothing is allowed that the theory does not tell.

import { describe, expect, test } from "vitest";
import * as state from "../../src/http1/state.ts";

const STATES = [0, 1, 2, 3, 4, 5];
const STEPS = [0, 1, 2, 3, 4, 5, 6, 7];

function allowed(after: (state: number, step: number) => number, from: number): number[] {
  return STEPS.filter((step) => {
    try {
      after(from, step);
      return true;
    } catch {
      return false;
    }
  });
}

describe("the reader", () => {
  test("parses nothing after a fault or its end", () => {
    for (const from of [state.R_ERROR, state.R_CLOSED]) {
      expect(allowed(state.readerAfter, from)).toEqual([state.LAST_CYCLE_OVER]);
      expect(state.readerAfter(from, state.LAST_CYCLE_OVER)).toBe(state.R_CLOSED);
    }
  });

  test("comes back to idle by a new cycle only", () => {
    const ways = STATES.flatMap((from) =>
      allowed(state.readerAfter, from)
        .filter((step) => state.readerAfter(from, step) === state.R_IDLE)
        .map((step) => [from, step]),
    );
    expect(ways).toEqual([[state.R_DONE, state.READ_NEXT_CYCLE]]);
  });

  test("is left for good by an upgrade", () => {
    expect(allowed(state.readerAfter, state.R_SWITCHED)).toEqual([]);
  });
});

describe("the writer", () => {
  test("sends one head a cycle", () => {
    const ways = STATES.filter((from) => allowed(state.writerAfter, from).includes(state.HEAD_SENT));
    expect(ways).toEqual([state.W_HEAD]);
  });

  test("goes nowhere once broken off or switched", () => {
    for (const step of allowed(state.writerAfter, state.W_BROKEN))
      expect(state.writerAfter(state.W_BROKEN, step)).toBe(state.W_BROKEN);
    expect(allowed(state.writerAfter, state.W_SWITCHED)).toEqual([]);
  });
});
