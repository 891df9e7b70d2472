// RFC 3986 §3.2: host and port. The cases of Host in a request stand in http1/host.test.ts.

import { isIPv6 } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isIpv6, parseAuthority } from "../../src/http/authority.ts";

test.each([
  ["a", { host: "a", port: undefined }],
  ["A:80", { host: "a", port: 80 }],
  ["a:", { host: "a", port: undefined }],
  ["[::1]:0", { host: "[::1]", port: 0 }],
  ["a%2Fb", { host: "a%2fb", port: undefined }],
])("%s", (text, authority) => {
  expect(parseAuthority(text)).toEqual(authority);
});

test.each(["", ":", ":1", "a:b", "a:1:2", "a:99999", "u@a", "a/", "[", "]", "[]", "[a]", "a,b", "a b"])(
  "%j is none",
  (text) => {
    expect(parseAuthority(text)).toBeUndefined();
  },
);

test("IPv6 addresses are the ones the system takes", () => {
  const part = fc.constantFrom(
    "",
    ":",
    "::",
    "0",
    "1",
    "ab",
    "ffff",
    "12345",
    "1.2.3.4",
    "255.255.255.255",
    "256.1.1.1",
    "01.1.1.1",
    "g",
    ".",
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 17 }), (parts) => {
      const text = parts.join("");
      expect([text, isIpv6(text)]).toEqual([text, isIPv6(text)]);
    }),
    { numRuns: 3000, seed: 6 },
  );
  fc.assert(
    fc.property(fc.ipV6(), (text) => isIpv6(text)),
    { numRuns: 300, seed: 6 },
  );
});
