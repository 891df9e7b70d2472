// The PROXY protocol, versions 1 and 2, receiver's side (HAProxy's proxy-protocol.txt).
//
// SANS-IO: bytes in, a header, "need more" or an error out. Owns: both encodings, their bounds, and which peers
// may send one. Refuses: guessing. On a server that speaks the protocol every connection begins with a header;
// anything else is an error, never the first bytes of the application.

import { BlockList, isIP, isIPv4 } from "node:net";
import { ProxyProtocolError, UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { type Endpoint, type IpAddress, type Ipv6Groups, parseIpAddress, unmapIpAddress } from "./address.ts";
import { crc32c } from "./crc32c.ts";

/** What a proxy said about the connection it relays. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `"local"`: the proxy speaks for itself, for example to check our health. */
  readonly command: "proxy" | "local";
  /** The client. Undefined: the proxy does not say (LOCAL, UNKNOWN, UNSPEC, a unix socket); keep the real peer. */
  readonly source: Endpoint | undefined;
  /** Where the client connected to; undefined as `source` is. */
  readonly destination: Endpoint | undefined;
}

/** `length` counts the bytes of the header: what follows belongs to the application. */
export type ProxyParse =
  | { readonly type: "need-more" }
  | { readonly type: "header"; readonly header: ProxyHeader; readonly length: number }
  | { readonly type: "error"; readonly error: ProxyProtocolError };

/** Longest version 2 header taken unless told otherwise; version 1 has at most 107 bytes by its own rules (§2.1). */
export const defaultMaxHeaderBytes = 4096;

const needMore: ProxyParse = { type: "need-more" };
const noAddresses = { source: undefined, destination: undefined };

/**
 * Reads a header from the first bytes of a connection: call again with all bytes so far after `need-more`. The
 * answer does not depend on how the bytes were split. Never throws.
 *
 * @param maxBytes the longest header to take, TLVs included (at least 16).
 */
export function parseProxyHeader(bytes: Uint8Array, maxBytes: number = defaultMaxHeaderBytes): ProxyParse {
  if (bytes.length === 0) return needMore;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer[0] === v1Prefix[0] ? parseV1(buffer) : parseV2(buffer, maxBytes);
}

function malformed(message: string): ProxyParse {
  return { type: "error", error: new ProxyProtocolError("malformed", `PROXY header: ${message}.`) };
}

function tooLarge(message: string): ProxyParse {
  return { type: "error", error: new ProxyProtocolError("too-large", `PROXY header: ${message}.`) };
}

function startsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}

// ── Version 1: one line of text (§2.1) ──────────────────────────────────────────────────────────────────────

const v1Prefix = Buffer.from("PROXY ");
// "PROXY UNKNOWN" with two full IPv6 addresses and ports, CRLF included.
const v1MaxBytes = 107;
const v1Port = /^(?:0|[1-9]\d{0,4})$/;

function parseV1(bytes: Buffer): ProxyParse {
  if (!startsLike(bytes, v1Prefix)) return malformed("it begins with neither signature");
  const end = bytes.subarray(0, v1MaxBytes).indexOf("\r\n");
  if (end >= 0) return parseV1Line(bytes.toString("latin1", v1Prefix.length, end), end + 2);
  return bytes.length < v1MaxBytes ? needMore : tooLarge(`no end of line in ${v1MaxBytes} bytes`);
}

function parseV1Line(line: string, length: number): ProxyParse {
  const [family, ...fields] = line.split(" ");
  // "The receiver must ignore anything presented before the CRLF".
  if (family === "UNKNOWN") return header(1, "proxy", noAddresses, length);
  const version = family === "TCP4" ? 4 : family === "TCP6" ? 6 : 0;
  if (version === 0) return malformed(`unknown family ${JSON.stringify(family)}`);
  const [source, destination, sourcePort, destinationPort] = fields;
  const from = v1Endpoint(source, sourcePort, version);
  const to = v1Endpoint(destination, destinationPort, version);
  if (fields.length !== 4 || from === undefined || to === undefined)
    return malformed("bad addresses or ports");
  return header(1, "proxy", { source: from, destination: to }, length);
}

function v1Endpoint(host = "", portText = "", version: number): Endpoint | undefined {
  if (isIP(host) !== version || host.includes("%") || !v1Port.test(portText)) return undefined;
  const port = Number(portText);
  return port > 65_535 ? undefined : { port, ipAddress: unmapIpAddress(parseIpAddress(host)!) };
}

// ── Version 2: binary (§2.2) ────────────────────────────────────────────────────────────────────────────────

const v2Signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const v2FixedBytes = 16;
const localCommand = 0x20;
const proxyCommand = 0x21;

/** Bytes of the address block by family and transport; a byte that is not here must be refused. */
const addressBytes: ReadonlyMap<number, number> = new Map([
  [0x00, 0], // UNSPEC
  [0x11, 12], // IPv4, stream
  [0x12, 12], // IPv4, datagram
  [0x21, 36], // IPv6, stream
  [0x22, 36], // IPv6, datagram
  [0x31, 216], // unix, stream
  [0x32, 216], // unix, datagram
]);

function parseV2(bytes: Buffer, maxBytes: number): ProxyParse {
  if (!startsLike(bytes, v2Signature)) return malformed("it begins with neither signature");
  const command = bytes[12] ?? proxyCommand;
  if (command !== localCommand && command !== proxyCommand)
    return malformed(`unknown version and command 0x${command.toString(16)}`);
  const family = bytes[13] ?? 0;
  // The receiver must take a LOCAL header whatever its family says, and skip it by its length.
  if (command === proxyCommand && !addressBytes.has(family))
    return malformed(`unknown family 0x${family.toString(16)}`);
  if (bytes.length < v2FixedBytes) return needMore;
  const length = v2FixedBytes + bytes.readUInt16BE(14);
  if (length > maxBytes) return tooLarge(`${length} bytes announced, at most ${maxBytes} taken`);
  if (bytes.length < length) return needMore;
  if (command === localCommand) return header(2, "local", noAddresses, length);
  return parseV2Body(bytes.subarray(0, length), family);
}

function parseV2Body(bytes: Buffer, family: number): ProxyParse {
  const tlvs = v2FixedBytes + addressBytes.get(family)!;
  if (bytes.length < tlvs) return malformed("the address block is cut short");
  // UNSPEC says nothing about what follows, so there is nothing to check in it.
  const problem = family === 0 ? undefined : checkTlvs(bytes, tlvs);
  if (problem !== undefined) return malformed(problem);
  return header(2, "proxy", v2Addresses(bytes, family), bytes.length);
}

function v2Addresses(bytes: Buffer, family: number): Pick<ProxyHeader, "source" | "destination"> {
  const width = family >> 4 === 1 ? 4 : family >> 4 === 2 ? 16 : 0;
  // A unix path names a process on the proxy's machine: no address of the client.
  if (width === 0) return noAddresses;
  const ports = v2FixedBytes + 2 * width;
  return {
    source: { ipAddress: readAddress(bytes, v2FixedBytes, width), port: bytes.readUInt16BE(ports) },
    destination: {
      ipAddress: readAddress(bytes, v2FixedBytes + width, width),
      port: bytes.readUInt16BE(ports + 2),
    },
  };
}

function readAddress(bytes: Buffer, at: number, width: number): IpAddress {
  if (width === 4)
    return { type: "ipv4", octets: [bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!] };
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index));
  return unmapIpAddress({ type: "ipv6", groups: groups as unknown as Ipv6Groups });
}

const crc32cType = 0x03;

/** Walks the type-length-values; only the checksum means anything to us (§2.2.3). */
function checkTlvs(bytes: Buffer, start: number): string | undefined {
  let at = start;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return "a TLV is cut short";
    const value = at + 3;
    const length = bytes.readUInt16BE(at + 1);
    if (value + length > bytes.length) return "a TLV is longer than the header";
    if (bytes[at] === crc32cType && !checksumHolds(bytes, value, length))
      return "the checksum does not match";
    at = value + length;
  }
  return undefined;
}

/** The checksum covers the whole header with its own four bytes as zeros. */
function checksumHolds(bytes: Buffer, at: number, length: number): boolean {
  if (length !== 4) return false;
  const zeroed = Buffer.from(bytes);
  zeroed.fill(0, at, at + 4);
  return crc32c(zeroed) === bytes.readUInt32BE(at);
}

function header(
  version: 1 | 2,
  command: ProxyHeader["command"],
  addresses: Pick<ProxyHeader, "source" | "destination">,
  length: number,
): ProxyParse {
  return { type: "header", header: { version, command, ...addresses }, length };
}

// ── Who may send one ────────────────────────────────────────────────────────────────────────────────────────

/** Peers that are believed when they speak for others. */
export interface TrustedPeers {
  /** `remoteAddress` is the text of an IP address; undefined means a unix socket. */
  trusts(remoteAddress: string | undefined): boolean;
}

/**
 * A list of trusted peers: IP addresses, subnets in CIDR notation, and `"unix"` for peers on a unix socket.
 *
 * @throws UsageError for an empty list or an entry that is none of these.
 */
export function trustedPeers(entries: readonly string[]): TrustedPeers {
  if (entries.length === 0) throw new UsageError("trustedPeers must have at least one entry, got none");
  const list = new BlockList();
  for (const entry of entries) if (entry !== "unix") addEntry(list, entry);
  const unix = entries.includes("unix");
  return {
    trusts: (remoteAddress) => (remoteAddress === undefined ? unix : isListed(list, remoteAddress)),
  };
}

function addEntry(list: BlockList, entry: string): void {
  const [host = "", prefix, ...rest] = entry.split("/");
  const family = isIPv4(host) ? "ipv4" : "ipv6";
  const bits = prefix === undefined ? undefined : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  const isValid = isIP(host) !== 0 && !host.includes("%") && rest.length === 0;
  if (!isValid || (bits !== undefined && (bits < 0 || bits > (family === "ipv4" ? 32 : 128)))) {
    throw new UsageError(
      `a trusted peer must be an IP address, a subnet such as "10.0.0.0/8", or "unix", got ${shown(entry)}`,
    );
  }
  if (bits === undefined) list.addAddress(host, family);
  else list.addSubnet(host, bits, family);
}

function isListed(list: BlockList, remoteAddress: string): boolean {
  const zone = remoteAddress.indexOf("%");
  const host = zone < 0 ? remoteAddress : remoteAddress.slice(0, zone);
  // A dual-stack socket shows an IPv4 peer as ::ffff:a.b.c.d.
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1] ?? host;
  const version = isIP(plain);
  return version !== 0 && list.check(plain, version === 4 ? "ipv4" : "ipv6");
}
