import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Heard, Position, windowUs } from "../../src/server/topics/position.ts";

const [a, b, c] = ["AAAAAAAA", "bbbbbbbb", "c_c-c_c-"];
const position = (times: Record<string, number>): Position => new Position(new Map(Object.entries(times)));

describe("a position", () => {
  test("is read back from its id", () => {
    const times = fc.array(fc.tuple(fc.constantFrom(a, b, c), fc.nat({ max: 2 ** 53 - 1 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(times, (entries) => {
        const id = String(new Position(new Map(entries)));
        expect(String(Position.parse(id))).toBe(id);
      }),
    );
  });

  test.each([
    "",
    "~",
    a,
    `${a}.`,
    `.${a}`,
    `${a}.1.2`,
    `${a}.G`,
    `${a}.-1`,
    `${a}.zzzzzzzzzzz`,
    `${a.slice(1)}.1`,
    `${a}.1~`,
    `${a}.1\n`,
    Array.from({ length: 65 }, () => `${a}.1`).join("~"),
  ])("%j is none", (id) => {
    expect(Position.parse(id)).toBeUndefined();
  });

  test("any text is a position or none, nothing else", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (id) => {
        Position.parse(id);
      }),
    );
  });

  test("covers what its publishers said up to it, and what others had said well before", () => {
    const at = position({ [a]: 50 * windowUs, [b]: 10 });
    expect([at.covers(a, 50 * windowUs), at.covers(a, 50 * windowUs + 1)]).toEqual([true, false]);
    expect([at.covers(b, 10), at.covers(b, 11)]).toEqual([true, false]);
    expect([at.covers(c, 49 * windowUs), at.covers(c, 49 * windowUs + 1)]).toEqual([true, false]);
  });

  test("includes another", () => {
    const at = position({ [a]: 5, [b]: 5 });
    expect(at.includes(position({ [a]: 5 }))).toBe(true);
    expect(at.includes(position({ [a]: 6 }))).toBe(false);
    expect(at.includes(position({ [c]: 1 }))).toBe(false);
    expect(at.with(position({ [c]: 1, [a]: 3 })).includes(position({ [c]: 1, [a]: 5 }))).toBe(true);
  });
});

describe("the clock", () => {
  test("only grows, whatever the wall clock does", () => {
    let now = 1000;
    const heard = new Heard(a, () => now);
    const times = [heard.tick(), heard.tick()];
    now = 5;
    times.push(heard.tick());
    now = 2000;
    times.push(heard.tick());
    expect(times).toEqual([1_000_000, 1_000_001, 1_000_002, 2_000_000]);
  });

  test("is never behind what was heard", () => {
    const heard = new Heard(a, () => 1);
    heard.note(b, 5_000_000);
    expect(heard.tick()).toBe(5_000_001);
  });

  test("names only those heard of lately, and itself", () => {
    const heard = new Heard(a, () => 0);
    heard.note(a, 1);
    heard.note(b, 2);
    heard.note(c, 2 + windowUs);
    expect(String(heard.position)).toBe(`${a}.1~${c}.${(2 + windowUs).toString(36)}`);
  });

  test("names 64 at most", () => {
    const heard = new Heard(a, () => 0);
    for (let i = 0; i < 1000; i++) heard.note(`${i}`.padStart(8, "0"), 1000 + i);
    expect(String(heard.position).split("~")).toHaveLength(64);
    expect(Position.parse(String(heard.position))?.latest).toBe(1999);
  });
});
