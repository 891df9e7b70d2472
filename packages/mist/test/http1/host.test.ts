// RFC 9112 §3.2, RFC 9110 §7.2: exactly one valid Host.

import { expect, test } from "vitest";
import { fault, only } from "./transcript.ts";

test.each([
  ["a", "a", undefined],
  ["A.Example", "a.example", undefined],
  ["a.example:8080", "a.example", 8080],
  ["a.example:", "a.example", undefined],
  ["127.0.0.1:80", "127.0.0.1", 80],
  ["[::1]", "[::1]", undefined],
  ["[2001:DB8::1]:8443", "[2001:db8::1]", 8443],
  ["[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", undefined],
  ["[v1.x:y]", "[v1.x:y]", undefined],
  ["home_0.example", "home_0.example", undefined],
  ["xn--bcher-kva.example", "xn--bcher-kva.example", undefined],
  ["a%20b", "a%20b", undefined],
  ["a.:1", "a.", 1],
  ["a:65535", "a", 65535],
])("Host: %s", (value, host, port) => {
  expect(only(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`)).toMatchObject({ host, port });
});

test.each([
  "",
  "a b",
  "a,b",
  "a, b",
  "a/b",
  "a?b",
  "a#b",
  "u@a",
  "u:p@a",
  "a:b",
  "a:-1",
  "a:+1",
  "a:65536",
  "a:123456",
  "a:1:2",
  ":80",
  ":",
  "::1",
  "[::1",
  "::1]",
  "[]",
  "[::1]x",
  "[:::1]",
  "[1:2]",
  "[1::2::3]",
  "[12345::]",
  "[::1.2.3]",
  "[::256.1.1.1]",
  "[g::]",
  "[v.x]",
  "a\\b",
  'a"b',
  "<a>",
  "a%",
  "a%2",
  "a%zz",
  "a^b",
  "a|b",
  "http://a",
  "\xe9.example",
  "a;\xa0",
  "[::1]:x",
])("Host: %j: 400", (value) => {
  expect(fault(`GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`)).toBe(400);
});

test("none: 400 in HTTP/1.1", () => {
  expect(fault("GET / HTTP/1.1\r\n\r\n")).toBe(400);
  expect(fault("GET / HTTP/1.1\r\nHos: a\r\nHostt: a\r\nX-Host: a\r\n\r\n")).toBe(400);
});

test("none is what HTTP/1.0 allows; an invalid one it does not", () => {
  expect(only("GET / HTTP/1.0\r\n\r\n")).toMatchObject({ host: "", port: undefined });
  expect(only("GET / HTTP/1.0\r\nHost: a:1\r\n\r\n")).toMatchObject({ host: "a", port: 1 });
  expect(fault("GET / HTTP/1.0\r\nHost: a b\r\n\r\n")).toBe(400);
  expect(fault("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")).toBe(400);
});

test.each([
  ["a", "b"],
  ["a", "a"],
  ["a", ""],
  ["", "a"],
])("two, %j and %j: 400", (one, two) => {
  expect(fault(`GET / HTTP/1.1\r\nHost: ${one}\r\nX: y\r\nhOST: ${two}\r\n\r\n`)).toBe(400);
});

test("an empty one says that the target has no authority, as * does", () => {
  expect(only("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").host).toBe("");
});
