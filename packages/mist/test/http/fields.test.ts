// RFC 9110 §5: names, values, and reading them.

import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import {
  type Fields,
  field,
  fieldName,
  fieldValue,
  getField,
  getFieldLines,
  isFieldValue,
  isToken,
  listTokens,
  lowerCaseName,
  trimWhitespace,
} from "../../src/http/fields.ts";

test("every byte is a token character or not (§5.6.2)", () => {
  const tchars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (let code = 0; code < 300; code++) {
    const text = String.fromCharCode(code);
    expect([code, isToken(`a${text}`)]).toEqual([code, tchars.includes(text)]);
  }
  expect(isToken("")).toBe(false);
  expect(isToken("a\n")).toBe(false);
});

test("every character may stand in a value or not (§5.5)", () => {
  for (let code = 0; code < 300; code++) {
    const allowed = code === 9 || (code >= 32 && code !== 127 && code <= 255);
    expect([code, isFieldValue(`a${String.fromCharCode(code)}b`)]).toEqual([code, allowed]);
  }
  expect(isFieldValue("")).toBe(true);
});

describe("making fields", () => {
  test("names are kept in lower case", () => {
    expect(field("Content-Type", "text/html")).toEqual(["content-type", "text/html"]);
    expect(field("X-Own-NAME", "")).toEqual(["x-own-name", ""]);
    expect([fieldName("ETag"), fieldName("etag"), fieldName("x-y")]).toEqual(["etag", "etag", "x-y"]);
    expect(lowerCaseName("User-Agent")).toBe("user-agent");
    expect(lowerCaseName("USER-AGENT")).toBe("user-agent");
  });

  test.each(["", "a b", "a:", "a\r\n", "é", "a\0", "a/b"])("%j is no name", (name) => {
    expect(() => field(name, "x")).toThrow(UsageError);
  });

  test.each(["a\r\nb: c", "a\n", "\r", "\0", "\x7f", "\u0100", "\ud83d\ude00"])("%j is no value", (value) => {
    expect(() => field("x", value)).toThrow(UsageError);
    expect(() => fieldValue("x", value)).toThrow(/the value of x must not contain/);
  });

  test("what is no string at all is refused, not turned into one", () => {
    expect(() => fieldName(null as unknown as string)).toThrow(
      new UsageError("a field name must be a token (RFC 9110 §5.1), got null"),
    );
    expect(() => fieldValue("x", 5 as unknown as string)).toThrow(
      new UsageError("the value of x must be a string, got 5"),
    );
  });
});

describe("reading fields", () => {
  const fields: Fields = [
    ["accept", "a"],
    ["cookie", "b=1"],
    ["accept", "c"],
    ["cookie", "d=2"],
  ];

  test("by name", () => {
    expect(getField(fields, "accept")).toBe("a, c");
    expect(getField(fields, "cookie")).toBe("b=1; d=2");
    expect(getField(fields, "host")).toBeUndefined();
    expect(getFieldLines(fields, "accept")).toEqual(["a", "c"]);
    expect(getFieldLines(fields, "host")).toEqual([]);
  });

  test.each([
    ["a", ["a"]],
    ["Close, Keep-Alive", ["close", "keep-alive"]],
    [" , a,,b\t ,", ["a", "b"]],
    ["", []],
  ])("the list %j", (value, tokens) => {
    expect(listTokens(value)).toEqual(tokens);
  });

  test("whitespace is SP and HTAB, and no other", () => {
    expect(trimWhitespace(" \t a b \t")).toBe("a b");
    expect(trimWhitespace("\xa0a\n")).toBe("\xa0a\n");
    expect(trimWhitespace(" \t ")).toBe("");
  });
});
