// The tables: no step leads out of an end, and nothing is allowed that the theory does not tell.

import { expect, test } from "vitest";
import { parsePriority } from "../../src/http2/flow/priority.ts";
import { recognisePreface } from "../../src/http2/frames/frame.ts";
import * as state from "../../src/http2/streams/state.ts";
import { PREFACE } from "./frames.ts";

function allowed<S, T extends number>(after: (state: S, step: T) => S, from: S, steps: number): T[] {
  return Array.from({ length: steps }, (_, step) => step as T).filter((step) => {
    try {
      after(from, step);
      return true;
    } catch {
      return false;
    }
  });
}

test("a reset is the end, and nothing else goes there", () => {
  expect(allowed(state.readerAfter, state.R_RESET, 2)).toEqual([]);
  expect(allowed(state.writerAfter, state.W_RESET, 4)).toEqual([]);
  for (const from of [state.W_HEAD, state.W_BODY, state.W_ENDING, state.W_ENDED]) {
    expect(state.writerAfter(from, state.WRITE_RESET)).toBe(state.W_RESET);
  }
});

test("a response goes through its states in order", () => {
  expect(allowed(state.writerAfter, state.W_HEAD, 4)).toEqual([state.HEAD_SENT, state.WRITE_RESET]);
  expect(allowed(state.writerAfter, state.W_BODY, 4)).toEqual([state.END_QUEUED, state.WRITE_RESET]);
  expect(allowed(state.writerAfter, state.W_ENDING, 4)).toEqual([state.END_SENT, state.WRITE_RESET]);
  expect(allowed(state.readerAfter, state.R_ENDED, 2)).toEqual([state.READ_RESET]);
});

test("the preface is recognised by its first bytes", () => {
  for (let count = 0; count < PREFACE.length; count++) {
    expect(recognisePreface(PREFACE.subarray(0, count))).toBe("incomplete");
  }
  expect(recognisePreface(PREFACE)).toBe("http2");
  for (const text of ["GET / HTTP/1.1", "P ", "PRI * HTTP/1.1", "\x16\x03", "pri"]) {
    expect(recognisePreface(Buffer.from(text, "latin1"))).toBe("other");
  }
});

test.each<[string, number, boolean]>([
  ["", 3, false],
  ["u=0", 0, false],
  ["u=7, i", 7, true],
  ["i,u=1", 1, true],
  ["i=?0", 3, false],
  ["i=?1;x=y , u=5;a", 5, true],
  ["u=1, u=2", 2, false],
  ["u=8", 3, false],
  ["u=-1", 3, false],
  ["u=1.0", 3, false],
  ["u", 3, false],
  ["i=1", 3, false],
  ['x="u=1, i", u=2', 2, false],
  ["x=(a b);q=1, i", 3, true],
  ["U=1", 3, false],
  ["u=1,,", 3, false],
  ["u = 1", 3, false],
  ['"', 3, false],
])("priority: %j", (text, urgency, incremental) => {
  expect(parsePriority(text)).toEqual({ urgency, incremental });
});
