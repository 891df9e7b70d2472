import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/index.ts";
import { chop, everySplit, forEverySplit, splitAt } from "../../src/testing/index.ts";

const texts = (pieces: readonly Buffer[]): string[] => pieces.map(String);

test.each([
  ["abcdef", [], ["abcdef"]],
  ["abcdef", [2], ["ab", "cdef"]],
  ["abcdef", [1, 5], ["a", "bcde", "f"]],
] as const)("splitAt(%j, %j)", (message, offsets, expected) => {
  expect(texts(splitAt(message, offsets))).toEqual(expected);
});

test.each([[[0]], [[3]], [[2, 1]], [[1, 1]], [[1.5]]])("splitAt refuses the offsets %j", (offsets) => {
  expect(() => splitAt("abc", offsets)).toThrow(UsageError);
});

test("chop", () => {
  expect(texts(chop("abc"))).toEqual(["a", "b", "c"]);
  expect(texts(chop("abcde", 2))).toEqual(["ab", "cd", "e"]);
  expect(chop("")).toEqual([]);
  expect(() => chop("abc", 0)).toThrow(UsageError);
});

test("every split of a short message", () => {
  const named = [...everySplit("abc", { cuts: 2 })].map(
    ({ name, pieces }) => `${name}: ${texts(pieces).join("|")}`,
  );
  expect(named).toEqual([
    "whole: abc",
    "byte by byte: a|b|c",
    "cut at 1: a|bc",
    "cut at 2: ab|c",
    "cut at 1 and 2: a|b|c",
  ]);
});

test("the pieces of every split make the message, and every cut occurs", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), (message) => {
      const splits = [...everySplit(message)];
      for (const { pieces } of splits) expect(Buffer.concat(pieces)).toEqual(Buffer.from(message));
      expect(splits).toHaveLength(message.length < 2 ? 1 : message.length + 1);
    }),
  );
});

test("forEverySplit runs all of them, a few at a time", async () => {
  const names: string[] = [];
  let running = 0;
  let most = 0;
  await forEverySplit(
    "0123456789",
    async (_pieces, name) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      names.push(name);
    },
    { parallel: 3 },
  );
  expect(names).toHaveLength(11);
  expect(most).toBe(3);
});

test("forEverySplit names the split that failed, and stops", async () => {
  let runs = 0;
  const failing = forEverySplit(
    "0123456789",
    async (_pieces, name) => {
      runs++;
      if (name === "cut at 3") throw new Error("lost the colon");
    },
    { parallel: 1 },
  );
  await expect(failing).rejects.toThrow("cut at 3: lost the colon");
  expect(runs).toBe(5);
});
