// RFC 9110 §9 and §15.

import { expect, test } from "vitest";
import { readMethod } from "../../src/http/method.ts";
import { isBodyless, isInformational, isStatus, reasonPhrase } from "../../src/http/status.ts";

test.each([
  [200, "OK"],
  [404, "Not Found"],
  [431, "Request Header Fields Too Large"],
  [299, ""],
  [0, ""],
])("the reason phrase of %i", (status, phrase) => {
  expect(reasonPhrase(status)).toBe(phrase);
});

test("kinds of status", () => {
  expect([99, 100, 200, 599, 999, 1000, 200.5, Number.NaN].map(isStatus)).toEqual([
    false,
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
  expect([99, 100, 199, 200].map(isInformational)).toEqual([false, true, true, false]);
  expect([101, 200, 204, 205, 304].map(isBodyless)).toEqual([true, false, true, false, true]);
});

test.each([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
  "GIT",
  "GETS",
  "get",
  "x",
  "PROPPATCH",
])("the bytes of %s", (method) => {
  const bytes = Buffer.from(`..${method} /`);
  expect(readMethod(bytes, 2, 2 + method.length)).toBe(method);
});
