// Forwarded (RFC 7239) and X-Forwarded-*: what is believed of them.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ForwardedHeaders, forwardedFacts } from "../../src/http/forwarded.ts";

/** Proxies of ours are in 10.0.0.0/8 and fd00::/8. */
const trusts = (address: string) => /^(10\.|fd|::ffff:10\.)/i.test(address);

function facts(headers: ForwardedHeaders, lines: readonly (readonly [string, string])[]): string {
  const told = forwardedFacts(lines, headers, trusts);
  if (told === undefined) return "malformed";
  const { client, scheme, authority, port } = told;
  const from = client === undefined ? "peer" : `${client.address} ${client.port ?? "-"}`;
  const host = authority === undefined ? "-" : `${authority.host} ${authority.port ?? "-"}`;
  return `${from} | ${scheme ?? "-"} | ${host} | ${port ?? "-"}`;
}

const standard = (...values: string[]) =>
  facts(
    "forwarded",
    values.map((value) => ["forwarded", value]),
  );

describe("the examples of RFC 7239", () => {
  test.each([
    // §4
    ['for="_gazonk"', "peer | - | - | -"],
    ['For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17 4711 | - | - | -"],
    ["for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 - | http | - | -"],
    ["for=192.0.2.43, for=198.51.100.17", "198.51.100.17 - | - | - | -"],
    // §6
    ['for="192.0.2.43:47011"', "192.0.2.43 47011 | - | - | -"],
    ['for="[2001:db8:cafe::17]:47011"', "2001:db8:cafe::17 47011 | - | - | -"],
    // §6.2, §6.3
    ["for=unknown", "peer | - | - | -"],
    ["for=_hidden, for=_SEVKISEK", "peer | - | - | -"],
    // §7.1
    ['for=192.0.2.43, for="[2001:db8:cafe::17]"', "2001:db8:cafe::17 - | - | - | -"],
    // §7.4
    ["for=_hidden;by=203.0.113.60;proto=http;host=example.com", "peer | http | example.com - | -"],
    [
      "for=192.0.2.43,for=10.1.2.3;by=203.0.113.60;proto=http;host=example.com",
      "192.0.2.43 - | http | example.com - | -",
    ],
  ])("%s", (value, expected) => {
    expect(standard(value)).toBe(expected);
  });

  test("several fields are one list", () => {
    expect(standard("for=192.0.2.43", "for=10.0.0.1, for=10.0.0.2")).toBe("192.0.2.43 - | - | - | -");
  });
});

describe("Forwarded", () => {
  test.each([
    ["no field", [], "peer | - | - | -"],
    ["an empty field", [""], "peer | - | - | -"],
    ["empty members", [",, ,for=192.0.2.1,, "], "peer | - | - | -"],
    [
      "what is ours says more the farther it is",
      ['for=192.0.2.1;proto=https;host="a.example:8443", for=10.0.0.1;proto=http;host=inner'],
      "192.0.2.1 - | https | a.example 8443 | -",
    ],
    [
      "what only the nearer says counts",
      ["for=192.0.2.1, for=10.0.0.1;proto=https;host=b.example"],
      "192.0.2.1 - | https | b.example - | -",
    ],
    ["ours alone: the farthest", ["for=10.0.0.3, for=10.0.0.2"], "10.0.0.3 - | - | - | -"],
    [
      "a hidden hop ends at the proxy that wrote it",
      ["for=192.0.2.1, for=_x, for=10.0.0.2"],
      "10.0.0.2 - | - | - | -",
    ],
    ["an element without for", ["for=192.0.2.1, proto=https"], "peer | https | - | -"],
    ["obfuscated port", ['for="192.0.2.1:_p"'], "192.0.2.1 - | - | - | -"],
    ["port 0 is none", ['for="192.0.2.1:0"'], "192.0.2.1 - | - | - | -"],
    [
      "a name in any case, spaces around semicolons",
      ["FOR=192.0.2.1 ; Proto=HTTPS\t;\tHost=A.example"],
      "192.0.2.1 - | https | a.example - | -",
    ],
    ["quoted-pairs", ['for="19\\2.0.2.1";ext="a\\", for=10.0.0.1"'], "192.0.2.1 - | - | - | -"],
    ["commas and semicolons within quotes", ['for=192.0.2.1;ext=",;for=6.6.6.6"'], "192.0.2.1 - | - | - | -"],
    ["unknown extensions", ["for=192.0.2.1;secret=x"], "192.0.2.1 - | - | - | -"],
    ["empty pairs", [";for=192.0.2.1;;proto=http;"], "192.0.2.1 - | http | - | -"],
    ["a scheme that is none of HTTP", ["for=192.0.2.1;proto=gopher"], "192.0.2.1 - | - | - | -"],
    ["a host that is none", ['for=192.0.2.1;host="a b"'], "192.0.2.1 - | - | - | -"],
    ["an IPv6 host", ['for=192.0.2.1;host="[2001:db8::1]:8080"'], "192.0.2.1 - | - | [2001:db8::1] 8080 | -"],
    ["an IPv4 address mapped", ['for="[::ffff:10.0.0.1]"'], "::ffff:10.0.0.1 - | - | - | -"],
  ])("%s", (_name, values, expected) => {
    expect(standard(...values)).toBe(expected);
  });

  test.each([
    ["IPv6 without quotes", "for=[2001:db8::1]"],
    ["a port without quotes", "for=192.0.2.1:80"],
    ["IPv6 without brackets", 'for="2001:db8::g"'],
    ["IPv4 in brackets", 'for="[192.0.2.1]"'],
    ["a zone", 'for="[fe80::1%eth0]"'],
    ["a name", "for=client.example"],
    ["a number too many", "for=192.0.2.256"],
    ["a port too large", 'for="192.0.2.1:65536"'],
    ["a parameter twice", "for=192.0.2.1;FOR=192.0.2.2"],
    ["no value", "for="],
    ["no name", "=192.0.2.1"],
    ["no pair", "192.0.2.1"],
    ["spaces around the equals sign", "for = 192.0.2.1"],
    ["quotes that do not open", 'for=192.0.2.1"'],
    ["quotes that do not close", 'for="192.0.2.1'],
    ["a closing quote that is escaped", 'for="192.0.2.1\\"'],
    ["text behind quotes", 'for="192.0.2.1"x'],
    ["two values", 'for="192.0.2.1""192.0.2.2"'],
    ["a member that never ends", `for=192.0.2.1;x=${"a".repeat(1100)}`],
    ["quotes that never end", `for=192.0.2.1;x="${"a".repeat(1100)}"`],
    ["an equals sign that does not follow a name", "for=192.0.2.1;@=b"],
    ["parameters without end", `for=192.0.2.1${";a".repeat(40)}`],
    ["more proxies than stand in a row", Array(65).fill("for=10.0.0.1").join()],
  ])("is not believed: %s", (_name, value) => {
    expect(standard(value)).toBe("malformed");
    // What a proxy of ours writes behind it is.
    expect(standard(`${value}, for=192.0.2.9`)).toBe("192.0.2.9 - | - | - | -");
    expect(standard(value, "for=192.0.2.9")).toBe("192.0.2.9 - | - | - | -");
    // And ours cannot vouch for it.
    expect(standard(`${value}, for=10.0.0.9`)).toBe("malformed");
  });
});

const customary = (given: Record<string, string | string[]>) =>
  facts(
    "x-forwarded",
    Object.entries(given).flatMap(([name, values]) =>
      [values].flat().map((value) => [`x-forwarded-${name}`, value] as const),
    ),
  );

describe("X-Forwarded-*", () => {
  test.each([
    ["nothing", {}, "peer | - | - | -"],
    ["one address", { for: "192.0.2.1" }, "192.0.2.1 - | - | - | -"],
    ["the nearest that is not ours", { for: "6.6.6.6, 192.0.2.1, 10.0.0.1" }, "192.0.2.1 - | - | - | -"],
    ["several fields", { for: ["6.6.6.6", "192.0.2.1", "10.0.0.1"] }, "192.0.2.1 - | - | - | -"],
    ["ours alone: the farthest", { for: "10.0.0.3,10.0.0.2" }, "10.0.0.3 - | - | - | -"],
    ["IPv6", { for: "2001:db8::1" }, "2001:db8::1 - | - | - | -"],
    ["IPv6 in brackets", { for: "[2001:db8::1]" }, "2001:db8::1 - | - | - | -"],
    ["ports", { for: "192.0.2.1:4711" }, "192.0.2.1 4711 | - | - | -"],
    ["ports of IPv6", { for: "[2001:db8::1]:4711" }, "2001:db8::1 4711 | - | - | -"],
    ["unknown", { for: "192.0.2.1, unknown" }, "peer | - | - | -"],
    [
      "scheme, host and port",
      { for: "192.0.2.1", proto: "https", host: "A.example", port: "8443" },
      "192.0.2.1 - | https | a.example - | 8443",
    ],
    ["a host with a port", { host: "a.example:8080" }, "peer | - | a.example 8080 | -"],
    ["a WebSocket's scheme", { proto: "wss" }, "peer | https | - | -"],
    [
      "of several values the last",
      { proto: "https, http", host: ["evil", "a.example"] },
      "peer | http | a.example - | -",
    ],
    [
      "values that are none",
      { for: "192.0.2.1", proto: "x", host: "a b", port: "0" },
      "192.0.2.1 - | - | - | -",
    ],
    ["a port too large", { port: "65536" }, "peer | - | - | -"],
    ["a malformed member left of the client", { for: "evil, 192.0.2.1" }, "192.0.2.1 - | - | - | -"],
    ["a malformed member", { for: "192.0.2.1, evil", proto: "https" }, "malformed"],
    ["a zone", { for: "fe80::1%eth0" }, "malformed"],
    ["quotes", { for: '"192.0.2.1"' }, "malformed"],
    ["more proxies than stand in a row", { for: Array(65).fill("10.0.0.1").join(", ") }, "malformed"],
    ["nothing but commas", { for: ",".repeat(100) }, "malformed"],
  ] as [string, Record<string, string | string[]>, string][])("%s", (_name, given, expected) => {
    expect(customary(given)).toBe(expected);
  });
});

test("of the two families only the one asked for is read", () => {
  const both = [
    ["forwarded", "for=192.0.2.1;proto=https"],
    ["x-forwarded-for", "192.0.2.2"],
    ["x-forwarded-proto", "http"],
  ] as const;
  expect(facts("forwarded", both)).toBe("192.0.2.1 - | https | - | -");
  expect(facts("x-forwarded", both)).toBe("192.0.2.2 - | http | - | -");
});

describe("whatever a client sends in front of what our proxy appends", () => {
  const sent = fc.oneof(
    fc.string({ unit: "grapheme-ascii" }),
    fc.string({ unit: fc.constantFrom(...'",;=\\ []for10.') }),
  );

  test("changes nothing in Forwarded", () => {
    fc.assert(
      fc.property(sent, fc.boolean(), (text, joined) => {
        const own = 'for="192.0.2.1:80";host="a.example";proto=https';
        const told = joined ? standard(`${text}, ${own}`) : standard(text, own);
        expect(told).toBe("192.0.2.1 80 | https | a.example - | -");
      }),
    );
  });

  test("changes nothing in X-Forwarded-For", () => {
    fc.assert(
      fc.property(sent, fc.boolean(), (text, joined) => {
        const told = customary({ for: joined ? [`${text}, 192.0.2.1`] : [text, "192.0.2.1"] });
        expect(told).toBe("192.0.2.1 - | - | - | -");
      }),
    );
  });
});

test("a chain of a hundred thousand hops is not walked", () => {
  const read: string[] = [];
  const spy = (address: string) => {
    read.push(address);
    return trusts(address);
  };
  const chain = Array(100_000).fill("10.0.0.1").join(", ");
  expect(forwardedFacts([["x-forwarded-for", chain]], "x-forwarded", spy)).toBeUndefined();
  expect(read.length).toBe(64);
});
