import { isIPv4, isIPv6, SocketAddress } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import {
  addressToString,
  bindAddresses,
  endpoint,
  type Ipv6Groups,
  ipAddressToString,
  ipv4,
  ipv6,
  parseIpAddress,
  unmapIpAddress,
} from "../../src/transport/address.ts";

// Zeros often, so that runs and ties come up.
const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }));
const groups = fc.tuple(
  ...(Array.from({ length: 8 }, () => group) as [typeof group]),
) as unknown as fc.Arbitrary<[...Ipv6Groups]>;
const octet = fc.integer({ min: 0, max: 255 });

describe("ipAddressToString", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["::", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1:0:0:0:0:0:0:0", "1::"],
    // RFC 5952 §4.1: no leading zeros. §4.3: lower case.
    ["2001:0DB8::0001", "2001:db8::1"],
    // §4.2.1: shortened as much as possible.
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    // §4.2.2: never one group alone.
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"],
    // §4.2.3: the longest run, the leftmost on a tie.
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"],
    // §5: a known prefix keeps its dotted decimal.
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["fe80::1%eth0", "fe80::1"],
    ["127.0.0.1", "127.0.0.1"],
    ["255.255.255.255", "255.255.255.255"],
  ];
  it.each(cases)("%s is written %s", (text, canonical) => {
    expect(ipAddressToString(parseIpAddress(text)!)).toBe(canonical);
  });

  it("is read back as the same address", () => {
    fc.assert(
      fc.property(groups, (each) => {
        const address = ipv6(...each);
        const text = ipAddressToString(address);
        expect(isIPv6(text)).toBe(true);
        expect(parseIpAddress(text)).toEqual(address);
      }),
    );
    fc.assert(
      fc.property(octet, octet, octet, octet, (...octets) => {
        const text = ipAddressToString(ipv4(...octets));
        expect(isIPv4(text)).toBe(true);
        expect(parseIpAddress(text)).toEqual(ipv4(...octets));
      }),
    );
  });

  it("is canonical: no spelling of an address gives another text, and Node agrees", () => {
    fc.assert(
      fc.property(groups, fc.boolean(), (each, upper) => {
        const long = each.map((value) => value.toString(16).padStart(4, "0")).join(":");
        const spelled = upper ? long.toUpperCase() : long;
        const text = ipAddressToString(parseIpAddress(spelled)!);
        expect(text).toBe(ipAddressToString(ipv6(...each)));
        expect(text).toBe(text.toLowerCase());
        expect(text.split("::").length).toBeLessThanOrEqual(2);
        const again = parseIpAddress(new SocketAddress({ address: spelled, family: "ipv6" }).address);
        expect(again).toEqual(ipv6(...each));
      }),
    );
  });
});

describe("parseIpAddress", () => {
  it.each(["", "localhost", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", ":::", "1::2::3", "[::1]", "g::1"])(
    "refuses %j",
    (text) => {
      expect(parseIpAddress(text)).toBeUndefined();
    },
  );

  it("never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseIpAddress(text)));
  });
});

it("an IPv4-mapped peer is an IPv4 peer", () => {
  expect(unmapIpAddress(parseIpAddress("::ffff:192.0.2.1")!)).toEqual(ipv4(192, 0, 2, 1));
  expect(unmapIpAddress(ipv6(0, 0, 0, 0, 0, 0, 0, 1))).toEqual(ipv6(0, 0, 0, 0, 0, 0, 0, 1));
  expect(endpoint("::ffff:10.0.0.1", 80)).toEqual({ port: 80, ipAddress: ipv4(10, 0, 0, 1) });
  expect(endpoint(undefined, 80)).toBeUndefined();
});

it("a value out of range is refused", () => {
  expect(() => ipv4(256, 0, 0, 0)).toThrow(UsageError);
  expect(() => ipv6(0, 0, 0, 0, 0, 0, 0, -1)).toThrow(UsageError);
  expect(() => ipv6(0, 0, 0, 0, 0, 0, 0, 0.5)).toThrow(UsageError);
});

it("an address with a port puts IPv6 in brackets", () => {
  expect(addressToString({ type: "tcp", ipAddress: ipv4(127, 0, 0, 1), port: 1 })).toBe("127.0.0.1:1");
  expect(addressToString({ type: "tcp", ipAddress: parseIpAddress("::1")!, port: 1 })).toBe("[::1]:1");
  expect(addressToString({ type: "unix", path: "/run/x" })).toBe("/run/x");
});

describe("bindAddresses", () => {
  it.each([
    ["localhost", false, [{ host: "127.0.0.1", ipv6Only: false }]],
    ["127.0.0.1", false, [{ host: "127.0.0.1", ipv6Only: false }]],
    ["0.0.0.0", false, [{ host: "0.0.0.0", ipv6Only: false }]],
    ["0.0.0.0", true, [{ host: "::", ipv6Only: false }]],
    ["::", true, [{ host: "::", ipv6Only: false }]],
    ["::1", false, [{ host: "::1", ipv6Only: false }]],
    [
      "localhost",
      true,
      [
        { host: "127.0.0.1", ipv6Only: true },
        { host: "::1", ipv6Only: true },
      ],
    ],
  ])("%s, IPv6 as well: %s", (name, ipv6Too, expected) => {
    expect(bindAddresses(name, ipv6Too)).toEqual(expected);
  });

  it.each(["", "example.com", "127.0.0.1:80", "*", "300.0.0.1"])("refuses %j", (name) => {
    expect(() => bindAddresses(name)).toThrow(UsageError);
  });

  it("refuses IPv6 for an address no interface carries", () => {
    expect(() => bindAddresses("192.0.2.1", true)).toThrow(/no IPv6 address/);
  });
});
