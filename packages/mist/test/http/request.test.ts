// A request as a value: its path in segments, its fields by name.

import { describe, expect, it, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { fakeRequest } from "../server/file-request.ts";

describe("pathSegments", () => {
  it.each<[string, string[]]>([
    ["/", []],
    ["/a/b", ["a", "b"]],
    ["/a//b/", ["a", "b"]],
    ["*", ["*"]],
    // RFC 3986 §5.2.4
    ["/.", []],
    ["/a/./b", ["a", "b"]],
    ["/a/../b", ["b"]],
    ["/a/b/..", ["a"]],
    ["/a/b/../../../c", ["c"]],
    ["/file/../../../../etc/hostname", ["etc", "hostname"]],
    ["/a//../b", ["b"]],
    // percent-encoded dots are dots (RFC 3986 §2.3)
    ["/file/%2e%2e/%2E./.%2e/etc", ["etc"]],
    ["/a/%2e/b", ["a", "b"]],
    // nothing else is decoded, and more dots are a name
    ["/a/...", ["a", "..."]],
    ["/a/%2e%2e%2e", ["a", "%2e%2e%2e"]],
    ["/a/%252e%252e/b", ["a", "%252e%252e", "b"]],
    ["/a/..b/.b", ["a", "..b", ".b"]],
    ["/a%2fb/c%20d", ["a%2fb", "c%20d"]],
  ])("of %s are %j", (path, segments) => {
    expect(fakeRequest(path).pathSegments).toEqual(segments);
  });

  it("leaves the query out", () => {
    expect(fakeRequest("/a/b?c=/../d").pathSegments).toEqual(["a", "b"]);
  });
});

test("getHeader gives the first of several fields, getHeaders all of them", () => {
  const request = fakeRequest("/", { accept: ["text/html", "text/plain"], host: "a" });
  expect(request.getHeader("Accept")).toBe("text/html");
  expect(request.getHeaders("Accept")).toEqual(["text/html", "text/plain"]);
  expect([request.getHeader("x"), request.getHeaders("x")]).toEqual([undefined, []]);
  const more = request.prependHeader("accept", "image/png");
  expect(more.getHeader("accept")).toBe("image/png");
  expect(request.getHeader("accept")).toBe("text/html");
});

describe("setPath", () => {
  it("keeps the rest and drops the query", () => {
    const request = fakeRequest("/api/items?id=1", { host: "a" }).setPath("/items");
    expect([request.path, request.query, request.getHeader("host")]).toEqual(["/items", undefined, "a"]);
  });

  it.each(["items", "", undefined])("refuses %j", (path) => {
    expect(() => fakeRequest("/").setPath(path as string)).toThrow(UsageError);
  });
});
