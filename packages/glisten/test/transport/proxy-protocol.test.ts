import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProxyProtocolError, UsageError } from "../../src/errors.ts";
import { ipv4, parseIpAddress } from "../../src/transport/address.ts";
import { crc32c } from "../../src/transport/crc32c.ts";
import { type ProxyParse, parseProxyHeader, trustedPeers } from "../../src/transport/proxy-protocol.ts";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function v2(command: number, family: number, ...body: readonly (Buffer | readonly number[])[]): Buffer {
  const rest = Buffer.concat(body.map((each) => Buffer.from(each)));
  const head = Buffer.from([command, family, rest.length >> 8, rest.length & 0xff]);
  return Buffer.concat([SIGNATURE, head, rest]);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value]);
}

const TCP4 = Buffer.from([192, 0, 2, 1, 203, 0, 113, 7, 0x1f, 0x90, 0x01, 0xbb]);
const TCP6 = Buffer.concat([
  Buffer.alloc(15),
  Buffer.from([1]),
  Buffer.alloc(15),
  Buffer.from([2, 0, 80, 1, 0]),
]);
const CLIENT = { ipAddress: ipv4(192, 0, 2, 1), port: 8080 };
const SERVER = { ipAddress: ipv4(203, 0, 113, 7), port: 443 };

function parsed(bytes: Buffer): ProxyParse {
  return parseProxyHeader(bytes);
}

/** Fed byte by byte: the first answer that is not "need more". */
function parsedSlowly(bytes: Buffer): ProxyParse {
  for (let length = 0; length <= bytes.length; length += 1) {
    const result = parsed(bytes.subarray(0, length));
    if (result.type !== "need-more") return result;
  }
  return { type: "need-more" };
}

function withChecksum(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  return bytes;
}

function plain(result: ProxyParse): unknown {
  return result.type === "error" ? { reason: result.error.reason, message: result.error.message } : result;
}

const UNIX = Buffer.alloc(216, 0x2f);
const LONGEST_V1 = `PROXY UNKNOWN ${"f".repeat(107 - 16)}\r\n`;

describe("a good header", () => {
  const cases: readonly (readonly [string, Buffer, object])[] = [
    [
      "version 1 TCP4",
      Buffer.from("PROXY TCP4 192.0.2.1 203.0.113.7 8080 443\r\n"),
      { version: 1, command: "proxy", source: CLIENT, destination: SERVER },
    ],
    [
      "version 1 TCP6",
      Buffer.from("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
      {
        version: 1,
        command: "proxy",
        source: { ipAddress: parseIpAddress("2001:db8::1"), port: 1 },
        destination: { ipAddress: parseIpAddress("::1"), port: 65_535 },
      },
    ],
    ["version 1 UNKNOWN", Buffer.from("PROXY UNKNOWN\r\n"), { version: 1, command: "proxy" }],
    ["version 1 UNKNOWN with anything behind it", Buffer.from(LONGEST_V1), { version: 1, command: "proxy" }],
    [
      "version 2 over IPv4",
      v2(0x21, 0x11, TCP4),
      { version: 2, command: "proxy", source: CLIENT, destination: SERVER },
    ],
    [
      "version 2 over IPv6",
      v2(0x21, 0x21, TCP6),
      {
        version: 2,
        command: "proxy",
        source: { ipAddress: parseIpAddress("::1"), port: 80 },
        destination: { ipAddress: parseIpAddress("::2"), port: 256 },
      },
    ],
    [
      "version 2 for datagrams",
      v2(0x21, 0x12, TCP4),
      { version: 2, command: "proxy", source: CLIENT, destination: SERVER },
    ],
    [
      "version 2 with TLVs",
      v2(
        0x21,
        0x11,
        TCP4,
        tlv(0x01, Buffer.from("h2")),
        tlv(0x04, Buffer.alloc(0)),
        tlv(0xea, Buffer.alloc(300)),
      ),
      { version: 2, command: "proxy", source: CLIENT, destination: SERVER },
    ],
    [
      "version 2 with a checksum",
      withChecksum(v2(0x21, 0x11, TCP4, tlv(0x03, Buffer.alloc(4)))),
      { version: 2, command: "proxy", source: CLIENT, destination: SERVER },
    ],
    ["LOCAL, empty", v2(0x20, 0x00), { version: 2, command: "local" }],
    ["LOCAL, whatever stands behind it", v2(0x20, 0x77, [1, 2, 3]), { version: 2, command: "local" }],
    ["UNSPEC", v2(0x21, 0x00, [9, 9]), { version: 2, command: "proxy" }],
    ["unix", v2(0x21, 0x31, UNIX), { version: 2, command: "proxy" }],
  ];

  it.each(cases)("%s: whole, byte by byte, with bytes behind it", (_, bytes, expected) => {
    const answer = {
      type: "header",
      header: { source: undefined, destination: undefined, ...expected },
      length: bytes.length,
    };
    expect(parsed(bytes)).toEqual(answer);
    expect(parsedSlowly(bytes)).toEqual(answer);
    expect(parsed(Buffer.concat([bytes, Buffer.from("PROXY TCP4 \r\n")]))).toEqual(answer);
  });
});

describe("a bad header", () => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ["no header at all", Buffer.from("GET / HTTP/1.1\r\n"), "malformed"],
    ["a TLS hello", Buffer.from([0x16, 3, 1, 2, 0]), "malformed"],
    ["lower case", Buffer.from("proxy TCP4"), "malformed"],
    ["an almost PROXY", Buffer.from("PROXX "), "malformed"],
    ["an unknown family", Buffer.from("PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n"), "malformed"],
    ["no fields", Buffer.from("PROXY TCP4\r\n"), "malformed"],
    ["two spaces", Buffer.from("PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n"), "malformed"],
    ["one field too many", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"), "malformed"],
    ["an IPv6 address as TCP4", Buffer.from("PROXY TCP4 ::1 ::1 1 1\r\n"), "malformed"],
    ["an IPv4 address as TCP6", Buffer.from("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), "malformed"],
    ["a zone", Buffer.from("PROXY TCP6 fe80::1%a ::1 1 1\r\n"), "malformed"],
    ["a port out of range", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"), "malformed"],
    ["a port with a leading zero", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 080 1\r\n"), "malformed"],
    ["a negative port", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n"), "malformed"],
    ["a line without an end", Buffer.from(`PROXY UNKNOWN ${"f".repeat(200)}`), "too-large"],
    ["a line one byte too long", Buffer.from(LONGEST_V1.replace("f", "ff")), "too-large"],
    ["a bare line feed", Buffer.from(`PROXY UNKNOWN\n${"f".repeat(200)}`), "too-large"],
    ["a broken signature", Buffer.from("0d0a0d0a000d0a515549540b", "hex"), "malformed"],
    ["version 3", v2(0x31, 0x11, TCP4), "malformed"],
    ["an unknown command", v2(0x22, 0x11, TCP4), "malformed"],
    ["an unknown family", v2(0x21, 0x41, TCP4), "malformed"],
    ["a family without transport", v2(0x21, 0x10, TCP4), "malformed"],
    ["addresses cut short", v2(0x21, 0x11, TCP4.subarray(1)), "malformed"],
    ["a TLV cut short", v2(0x21, 0x11, TCP4, [1, 0]), "malformed"],
    ["a TLV longer than the header", v2(0x21, 0x11, TCP4, [1, 0, 2, 0]), "malformed"],
    ["a wrong checksum", v2(0x21, 0x11, TCP4, tlv(0x03, Buffer.from("abcd"))), "malformed"],
    ["a checksum of three bytes", v2(0x21, 0x11, TCP4, tlv(0x03, Buffer.alloc(3))), "malformed"],
    ["more bytes than are taken", v2(0x20, 0x00, Buffer.alloc(5000)), "too-large"],
  ];

  it.each(cases)("%s", (_, bytes, reason) => {
    const result = parsed(bytes);
    expect(result).toMatchObject({
      type: "error",
      error: {
        name: "ProxyProtocolError",
        reason,
        code: "eproto",
        message: expect.stringMatching(/^PROXY header: .+\.$/),
      },
    });
    expect(plain(parsedSlowly(bytes))).toEqual(plain(result));
  });

  it("is refused by its announced length before it has arrived", () => {
    const start = v2(0x21, 0x11, Buffer.alloc(60_000)).subarray(0, 16);
    expect(parsed(start)).toMatchObject({ type: "error", error: { reason: "too-large" } });
    expect(parseProxyHeader(start, 65_551)).toEqual({ type: "need-more" });
  });
});

describe("any bytes", () => {
  const fragment = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(
      ...[SIGNATURE, Buffer.from("PROXY "), Buffer.from("TCP4 "), Buffer.from("\r\n"), TCP4, TCP6],
      ...[v2(0x21, 0x11, TCP4), v2(0x20, 0x00), v2(0x21, 0x21, TCP6), Buffer.from([0x21, 0x11, 0, 12])],
    ),
  );
  const input = fc.array(fragment, { maxLength: 6 }).map((parts) => Buffer.concat(parts));

  it("give a header within the bytes, an error of ours, or a request for more that is bounded", () => {
    fc.assert(
      fc.property(input, (bytes) => {
        const result = parsed(bytes);
        if (result.type === "header") expect(result.length).toBeLessThanOrEqual(bytes.length);
        else if (result.type === "error") expect(result.error).toBeInstanceOf(ProxyProtocolError);
        else expect(bytes.length).toBeLessThan(4096);
      }),
      { numRuns: 2000 },
    );
  });

  it("give the same answer however they are split", () => {
    fc.assert(
      fc.property(input, (bytes) => {
        expect(plain(parsedSlowly(bytes))).toEqual(plain(parsed(bytes)));
      }),
      { numRuns: 500 },
    );
  });

  it("never leave a peer waiting for more than the limit", () => {
    const filler = Buffer.alloc(5000, 0x20);
    fc.assert(
      fc.property(input, (bytes) => {
        expect(parsed(Buffer.concat([bytes, filler])).type).not.toBe("need-more");
      }),
    );
  });
});

it("crc32c gives the check value of the standard", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

describe("trusted peers", () => {
  const peers = trustedPeers(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]);
  it.each([
    ["10.1.2.3", true],
    ["::ffff:10.1.2.3", true],
    ["11.0.0.1", false],
    ["192.0.2.1", true],
    ["192.0.2.2", false],
    ["2001:db8:1::1", true],
    ["2001:db9::1", false],
    ["::1", true],
    ["fe80::1%eth0", false],
    ["not an address", false],
    [undefined, false],
  ])("%s: %s", (address, trusted) => {
    expect(peers.trusts(address)).toBe(trusted);
  });

  it("unix peers are trusted by name only", () => {
    expect(trustedPeers(["unix"]).trusts(undefined)).toBe(true);
    expect(trustedPeers(["unix"]).trusts("127.0.0.1")).toBe(false);
  });

  it.each([
    [[]],
    [["localhost"]],
    [["10.0.0.0/33"]],
    [["10.0.0.0/"]],
    [["::/129"]],
    [["10.0.0.0/8/8"]],
    [[""]],
  ])("refuses %j", (list) => {
    expect(() => trustedPeers(list)).toThrow(UsageError);
  });
});
