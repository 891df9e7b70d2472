import { describe, expect, it } from "vitest";
import {
  parseEntityTag,
  parseEntityTagList,
  serializeEntityTag,
  strongMatch,
  weakMatch,
} from "../../src/http/entity-tag.ts";

describe("RFC 9110 §8.8.3 entity tags", () => {
  it.each([
    ['"xyzzy"', { weak: false, opaque: "xyzzy" }],
    ['W/"xyzzy"', { weak: true, opaque: "xyzzy" }],
    ['""', { weak: false, opaque: "" }],
    ['"a,b"', { weak: false, opaque: "a,b" }],
    ['"\xe9"', { weak: false, opaque: "\xe9" }],
  ])("parses and serializes %s", (text, tag) => {
    expect(parseEntityTag(text)).toEqual(tag);
    expect(serializeEntityTag(tag)).toBe(text);
  });

  it.each(["", "xyzzy", '"xyzzy', 'xyzzy"', 'w/"xyzzy"', 'W "x"', '"a" ', '"a"b"', '"a b"', '"\x7f"'])(
    "refuses %j",
    (text) => {
      expect(parseEntityTag(text)).toBeUndefined();
    },
  );

  it.each([
    ["*", "*"],
    ['"a"', ["a"]],
    ['"a", W/"b","c,d"', ["a", "b", "c,d"]],
    [', "a",, "b" ,', ["a", "b"]],
    ["", []],
    ['"a" "b"', undefined],
    ['"a"W/"b"', undefined],
    ['"a", b', undefined],
    ['"a", *', undefined],
  ])("parses the list %j", (text, expected) => {
    const tags = parseEntityTagList(text);
    expect(typeof tags === "object" ? tags.map((tag) => tag.opaque) : tags).toEqual(expected);
  });

  // The table of §8.8.3.2.
  it.each([
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', '"1"', true, true],
  ])("compares %s with %s", (left, right, strong, weak) => {
    const a = parseEntityTag(left)!;
    const b = parseEntityTag(right)!;
    expect([strongMatch(a, b), weakMatch(a, b)]).toEqual([strong, weak]);
    expect([strongMatch(b, a), weakMatch(b, a)]).toEqual([strong, weak]);
  });
});
