// The tables: no step leads out of an end, and nothing is allowed that the theory does not tell.

import { describe, expect, test } from "vitest";
import * as state from "../../src/http1/state.ts";
import { ConnectionState, type Step } from "../../src/http1/state.ts";

const readers = [0, 1, 2, 3, 4, 5, 6] as state.ReaderState[];
const writers = [0, 1, 2, 3, 4, 5] as state.WriterState[];
const steps = Array.from({ length: 15 }, (_, step) => step as Step);

interface Places {
  reader: state.ReaderState;
  writer: state.WriterState;
  persistence: state.PersistenceState;
  input: state.InputState;
}

/** Every state the connection could be in, sensible or not. */
function everywhere(): Places[] {
  return readers.flatMap((reader) =>
    writers.flatMap((writer) =>
      [state.KEEP, state.LAST].flatMap((persistence) =>
        [state.OPEN, state.ENDED].map((input) => ({ reader, writer, persistence, input })),
      ),
    ),
  );
}

/** Where a step leads; undefined if it cannot be taken. */
function after(from: Places, step: Step): Places | undefined {
  const connection = Object.assign(new ConnectionState(), from);
  try {
    connection.take(step);
  } catch {
    expect({ ...connection }).toEqual(from);
    return undefined;
  }
  return { ...connection };
}

/** Steps that can be taken from some of these places, and that change what `of` looks at. */
function moves<Value>(places: Places[], of: (places: Places) => Value): [Step, Value, Value][] {
  const found = new Map<string, [Step, Value, Value]>();
  for (const from of places)
    for (const step of steps) {
      const to = after(from, step);
      if (to !== undefined && of(to) !== of(from))
        found.set(`${step} ${of(from)} ${of(to)}`, [step, of(from), of(to)]);
    }
  return [...found.values()];
}

describe("the reader", () => {
  test("parses nothing after a fault or its end", () => {
    const over = everywhere().filter(({ reader }) => reader === state.R_ERROR || reader === state.R_CLOSED);
    expect(moves(over, ({ reader }) => reader)).toEqual([[state.CYCLES_OVER, state.R_ERROR, state.R_CLOSED]]);
  });

  test("comes back to idle by a new cycle only", () => {
    const ways = moves(everywhere(), ({ reader }) => reader).filter(([, , to]) => to === state.R_IDLE);
    expect(ways).toEqual([[state.NEXT_CYCLE, state.R_DONE, state.R_IDLE]]);
  });

  test("is left for good by an upgrade", () => {
    const switched = everywhere().filter(({ reader }) => reader === state.R_SWITCHED);
    expect(moves(switched, ({ reader }) => reader)).toEqual([]);
  });
});

describe("the writer", () => {
  test("sends one head a cycle", () => {
    const ways = moves(everywhere(), ({ writer }) => writer).filter(([step]) => step === state.HEAD_SENT);
    expect(ways).toEqual([[state.HEAD_SENT, state.W_HEAD, state.W_BODY]]);
  });

  test("goes nowhere once broken off or switched", () => {
    const over = everywhere().filter(
      ({ writer }) => writer === state.W_BROKEN || writer === state.W_SWITCHED,
    );
    expect(moves(over, ({ writer }) => writer)).toEqual([]);
  });
});

describe("persistence and input", () => {
  test("the last cycle stays the last, and there is none behind it", () => {
    const last = everywhere().filter(({ persistence }) => persistence === state.LAST);
    expect(moves(last, ({ persistence }) => persistence)).toEqual([]);
    expect(last.map((from) => after(from, state.NEXT_CYCLE))).toEqual(last.map(() => undefined));
  });

  test("what ended stays ended", () => {
    const ended = everywhere().filter(({ input }) => input === state.ENDED);
    expect(moves(ended, ({ input }) => input)).toEqual([]);
  });
});
