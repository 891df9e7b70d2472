// IP addresses as values, and where a socket stands.
//
// Owns: the tagged address type, reading and writing its text (RFC 4291 §2.2, RFC 5952), and the interface
// strings `bind` accepts. Refuses: host names (nothing here asks a resolver) and zone identifiers as part of a
// value: `fe80::1%eth0` is read, its zone dropped.

import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { UsageError } from "../errors.ts";

/** An IPv4 address: its four octets. */
export interface Ipv4Address {
  readonly type: "ipv4";
  /** Each from 0 to 255, in the order they are written. */
  readonly octets: readonly [number, number, number, number];
}

/** The eight 16-bit groups of an IPv6 address. */
export type Ipv6Groups = readonly [number, number, number, number, number, number, number, number];

/** An IPv6 address: its eight groups. */
export interface Ipv6Address {
  readonly type: "ipv6";
  /** Each from 0 to 65 535, in the order they are written. */
  readonly groups: Ipv6Groups;
}

/** An IP address; `type` tells which tuple it carries. {@link ipAddressToString} writes it. */
export type IpAddress = Ipv4Address | Ipv6Address;

/** One end of a TCP connection. */
export interface Endpoint {
  /** From 0 to 65535. */
  readonly port: number;
  /** An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`) is given as IPv4. */
  readonly ipAddress: IpAddress;
}

/** Both ends of a TCP connection: the peer's address and port (the real client's, behind a PROXY header), and ours. */
export interface ConnectionInfo extends Endpoint {
  /** Our end. */
  readonly local: Endpoint;
}

/** Where a server listens: an address and port, the path of a unix socket (`"@name"`: an abstract one), or memory. */
export type BoundAddress =
  | { readonly type: "tcp"; readonly ipAddress: IpAddress; readonly port: number }
  | { readonly type: "unix"; readonly path: string }
  | { readonly type: "memory" };

/** An IPv4 address from its octets. Throws a UsageError unless each is an integer from 0 to 255. */
export function ipv4(a: number, b: number, c: number, d: number): Ipv4Address {
  const octets = [a, b, c, d] as const;
  requireIntegers(octets, 0xff, "octet of an IPv4 address");
  return { type: "ipv4", octets };
}

/** An IPv6 address from its eight groups. Throws a UsageError unless each is an integer from 0 to 65535. */
export function ipv6(...groups: Ipv6Groups): Ipv6Address {
  requireIntegers(groups, 0xffff, "group of an IPv6 address");
  return { type: "ipv6", groups };
}

function requireIntegers(values: readonly number[], max: number, what: string): void {
  for (const value of values) {
    if (Number.isInteger(value) && value >= 0 && value <= max) continue;
    throw new UsageError(`each ${what} must be an integer from 0 to ${max}, got ${value}`);
  }
}

/**
 * Reads an address from text; undefined when it is not one. IPv4 must have four decimal fields without leading
 * zeros; IPv6 may be compressed, end in dotted decimal and carry a zone, which is dropped.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { type: "ipv4", octets: parseOctets(text) };
  if (isIPv6(text)) return { type: "ipv6", groups: parseGroups(text) };
  return undefined;
}

function parseOctets(text: string): Ipv4Address["octets"] {
  const [a, b, c, d] = text.split(".").map(Number);
  return [a!, b!, c!, d!];
}

function parseGroups(text: string): Ipv6Groups {
  const zone = text.indexOf("%");
  const [head = "", tail] = (zone < 0 ? text : text.slice(0, zone)).split("::");
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  return [...left, ...zeros, ...right] as unknown as Ipv6Groups;
}

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a, b, c, d] = parseOctets(group);
    return [(a << 8) | b, (c << 8) | d];
  });
}

/**
 * Turns an IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) into the IPv4 address it stands for: that is how a
 * dual-stack socket sees an IPv4 peer (RFC 4291 §2.5.5.2). Any other address is returned as it is.
 */
export function unmapIpAddress(address: IpAddress): IpAddress {
  if (address.type === "ipv4" || !isMapped(address.groups)) return address;
  const high = address.groups[6];
  const low = address.groups[7];
  return { type: "ipv4", octets: [high >> 8, high & 0xff, low >> 8, low & 0xff] };
}

function isMapped(groups: Ipv6Groups): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

/**
 * Writes an address: dotted decimal, or the canonical form of RFC 5952: lower case, no leading zeros, the
 * longest run of zero groups (the leftmost on a tie, never one group alone) as `::`, and an IPv4-mapped address
 * with its last 32 bits in dotted decimal (§5).
 */
export function ipAddressToString(address: IpAddress): string {
  if (address.type === "ipv4") return address.octets.join(".");
  const { groups } = address;
  if (isMapped(groups)) return `::ffff:${(unmapIpAddress(address) as Ipv4Address).octets.join(".")}`;
  const [start, length] = longestZeroRun(groups);
  if (length < 2) return joinGroups(groups);
  return `${joinGroups(groups.slice(0, start))}::${joinGroups(groups.slice(start + length))}`;
}

function joinGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

function longestZeroRun(groups: readonly number[]): readonly [start: number, length: number] {
  let best = 0;
  let bestLength = 0;
  let length = 0;
  for (let index = 0; index < groups.length; index += 1) {
    length = groups[index] === 0 ? length + 1 : 0;
    if (length <= bestLength) continue;
    best = index + 1 - length;
    bestLength = length;
  }
  return [best, bestLength];
}

/** `host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2), the path of a unix socket, or `memory`. */
export function addressToString(address: BoundAddress): string {
  if (address.type === "unix") return address.path;
  if (address.type === "memory") return "memory";
  return hostAndPort(ipAddressToString(address.ipAddress), address.port);
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * What a socket says about one of its ends, as a value: undefined once the kernel no longer knows (the peer is
 * gone) or when there is no address (a unix socket). IPv4-mapped addresses become IPv4.
 */
export function endpoint(address: string | undefined, port: number | undefined): Endpoint | undefined {
  if (address === undefined || port === undefined) return undefined;
  const ipAddress = parseIpAddress(address);
  return ipAddress === undefined ? undefined : { port, ipAddress: unmapIpAddress(ipAddress) };
}

/** One address to listen on; `ipv6Only` keeps an IPv6 socket from taking IPv4 peers too. */
export interface BindAddress {
  readonly host: string;
  readonly ipv6Only: boolean;
}

/**
 * The addresses behind an interface string: `"localhost"` (the loopback, IPv4), `"0.0.0.0"` and `"::"` (every
 * interface; `"::"` takes both families), or any IPv4 or IPv6 address of the machine. With `ipv6`, an IPv4
 * interface is also served over IPv6: the loopback on `::1`, every interface on `::`, any other address on the
 * IPv6 addresses of the network interface that carries it.
 *
 * @throws UsageError for anything else, host names included, and when an interface has no IPv6 address to add.
 */
export function bindAddresses(name: string, ipv6 = false): readonly BindAddress[] {
  const host = name === "localhost" ? "127.0.0.1" : name;
  if (isIPv6(host)) return [{ host, ipv6Only: false }];
  if (!isIPv4(host)) {
    throw new UsageError(
      `an interface must be "localhost", an IPv4 or an IPv6 address, got ${JSON.stringify(name)}`,
    );
  }
  if (!ipv6) return [{ host, ipv6Only: false }];
  if (host === "0.0.0.0") return [{ host: "::", ipv6Only: false }];
  return [host, ...ipv6Siblings(host)].map((each) => ({ host: each, ipv6Only: true }));
}

function ipv6Siblings(host: string): readonly string[] {
  if (host.startsWith("127.")) return ["::1"];
  for (const addresses of Object.values(networkInterfaces())) {
    if (!addresses?.some((each) => each.address === host)) continue;
    const siblings = addresses.filter((each) => each.family === "IPv6" && !each.address.startsWith("fe80:"));
    if (siblings.length > 0) return siblings.map((each) => each.address);
  }
  throw new UsageError(
    `${host} cannot be served over IPv6 as well: its network interface has no IPv6 address`,
  );
}
