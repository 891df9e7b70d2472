// Cookies: what requests bring, and what responses set.

import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { response } from "../../src/http/response.ts";
import type { CookieOptions } from "../../src/http/set-cookie.ts";
import { fakeRequest } from "../server/file-request.ts";

const set = (name: string, value: string, options?: CookieOptions) =>
  response(200).setCookie(name, value, options).getHeader("set-cookie");

describe("request.cookies", () => {
  test.each([
    ["none", {}, {}],
    ["two", { cookie: "a=1; b=2" }, { a: "1", b: "2" }],
    ["several fields", { cookie: ["a=1", "b=2"] }, { a: "1", b: "2" }],
    ["the first of a name", { cookie: "a=1; a=2" }, { a: "1" }],
    ["percent-encoding", { cookie: "a=caf%C3%A9; b=%zz" }, { a: "café", b: "%zz" }],
    [
      "quotes, spaces and what is no pair",
      { cookie: 'a="1" ;  b = 2; junk; =3' },
      { a: '"1"', b: "2", "": "3" },
    ],
  ] as const)("%s", (_name, headers, expected) => {
    expect({ ...fakeRequest("/", headers).cookies }).toEqual(expected);
  });

  test("a cookie cannot stand for a property of objects", () => {
    const { cookies } = fakeRequest("/", { cookie: "__proto__=x; a=1" });
    expect(cookies.toString).toBeUndefined();
    expect(cookies.a).toBe("1");
  });
});

describe("setCookie", () => {
  test("appends, and leaves the response as it was", () => {
    const before = response(200, { headers: { "set-cookie": "a=1" } });
    const after = before.setCookie("b", "2").setCookie("b", "3", { path: "/b" });
    expect(after.getHeaders("set-cookie")).toEqual(["a=1", "b=2", "b=3; Path=/b"]);
    expect(before.getHeaders("set-cookie")).toEqual(["a=1"]);
  });

  test.each([
    [undefined, "a=b"],
    [{}, "a=b"],
    [{ path: undefined, maxAge: undefined }, "a=b"],
    [{ maxAge: 0 }, "a=b; Max-Age=0"],
    [{ maxAge: 60, domain: "example.com", path: "/x" }, "a=b; Max-Age=60; Domain=example.com; Path=/x"],
    [{ expires: new Date(0) }, "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
    [
      { httpOnly: true, secure: true, sameSite: "none", partitioned: true },
      "a=b; HttpOnly; Secure; Partitioned; SameSite=None",
    ],
    [{ sameSite: "lax", secure: false }, "a=b; SameSite=Lax"],
  ] as [CookieOptions | undefined, string][])("%j", (options, expected) => {
    expect(set("a", "b", options)).toBe(expected);
  });

  test("a value is encoded as requests decode it", () => {
    const value = 'ü; \r\nset-cookie: x=1, "q"';
    const sent = set("a", value)!;
    expect(sent).toMatch(/^a=[\w%.-]+$/);
    expect(fakeRequest("/", { cookie: sent }).cookies.a).toBe(value);
  });

  test("prefixes with what they need", () => {
    expect(set("__Host-a", "1", { secure: true, path: "/" })).toBe("__Host-a=1; Path=/; Secure");
    expect(set("__Secure-a", "1", { secure: true })).toBe("__Secure-a=1; Secure");
  });

  test.each([
    ["no name", () => set("", "1"), "a cookie must have a name"],
    ["a name that is none", () => set("a b", "1"), "cannot be sent: argument name is invalid"],
    ["a line end in the name", () => set("a\r\nb", "1"), "cannot be sent"],
    ["a number", () => set("a", 1 as never), "the value of a cookie must be a string, got 1"],
    ["half a character", () => set("a", "\ud800"), "cannot be sent: URI malformed"],
    ["a line end in the path", () => set("a", "1", { path: "/\r\nx: y" }), "option path is invalid"],
    ["an attribute in the path", () => set("a", "1", { path: "/; Domain=evil" }), "option path is invalid"],
    ["a domain that is none", () => set("a", "1", { domain: "a b" }), "option domain is invalid"],
    ["half a second", () => set("a", "1", { maxAge: 0.5 }), "option maxAge is invalid"],
    ["a date that is none", () => set("a", "1", { expires: new Date("x") }), "option expires is invalid"],
    [
      "sameSite: true",
      () => set("a", "1", { sameSite: true as never }),
      'sameSite must be "strict", "lax" or "none"',
    ],
    ["sameSite none", () => set("a", "1", { sameSite: "none" }), 'sameSite "none" needs secure: true'],
    ["partitioned", () => set("a", "1", { partitioned: true }), "partitioned needs secure: true"],
    ["__Secure-", () => set("__secure-a", "1"), "a name that starts with __Secure- needs secure: true"],
    ["__Host- without path", () => set("__Host-a", "1", { secure: true }), 'needs path: "/" and no domain'],
    [
      "__Host- with domain",
      () => set("__Host-a", "1", { secure: true, path: "/", domain: "a.b" }),
      "needs path",
    ],
    ["too long", () => set("a", "x".repeat(4096)), "must have at most 4096 bytes, encoded, got 4097"],
    ["misspelt", () => set("a", "1", { httponly: true } as never), "httponly"],
  ])("refuses %s", (_name, call, message) => {
    expect(call).toThrow(UsageError);
    expect(call).toThrow(message);
  });

  test("the longest there is", () => {
    expect(set("a", "x".repeat(4095))).toHaveLength(4097);
  });
});
