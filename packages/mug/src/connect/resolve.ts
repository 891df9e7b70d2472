// From a host to the addresses to try: which families, in which order, and what a resolver may answer.

import { lookup as dnsLookup } from "node:dns/promises";
import { isIP } from "node:net";
import { MugError, UsageError } from "../errors.ts";
import { type ConnectOptions, defaults, type IpVersionPreference } from "../options.ts";

export type Family = 4 | 6;

/** One address to try. */
export interface Candidate {
  readonly address: string;
  readonly family: Family;
}

export function familyName(family: Family): "ipv4" | "ipv6" {
  return family === 4 ? "ipv4" : "ipv6";
}

const familiesByPreference: Readonly<Record<IpVersionPreference, readonly Family[]>> = {
  "ipv4-only": [4],
  "ipv4-preferred": [4, 6],
  "ipv6-only": [6],
  "ipv6-preferred": [6, 4],
};

/** An IP address, of the host or the local one, leaves only its own family. */
export function familiesToTry(options: ConnectOptions): readonly Family[] {
  const version = isIP(options.host!) || isIP(options.localAddress ?? "");
  if (version !== 0) return [version as Family];
  return familiesByPreference[options.ipVersionPreference ?? defaults.ipVersionPreference];
}

/** The host's addresses of one family, at least one; code `nxdomain` when it has none. */
export async function addressesOf(options: ConnectOptions, family: Family): Promise<readonly string[]> {
  const host = options.host!;
  const addresses = isIP(host) === 0 ? await resolve(options, family) : [host];
  if (addresses.length === 0) throw new MugError("nxdomain", `${host} has no ${familyName(family)} address`);
  return addresses;
}

async function resolve(options: ConnectOptions, family: Family): Promise<readonly string[]> {
  const host = options.host!;
  try {
    if (options.lookup !== undefined) return checkAddresses(await options.lookup(host, family), family);
    const found = await dnsLookup(host, { family: isLocalhost(host) ? 0 : family, all: true });
    return found.filter((each) => each.family === family).map(({ address }) => address);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new MugError("nxdomain", `${host} was not found`, { cause: error });
  }
}

/**
 * No name server is asked for this machine (RFC 6761 §6.3). Asked for both families, the system finds it in its own
 * table; asked for one that is not in there, it would go on to the network.
 */
function isLocalhost(host: string): boolean {
  return host.toLowerCase() === "localhost";
}

/** Node would resolve a name among the addresses again, bypassing the caller's resolver. */
function checkAddresses(addresses: readonly string[], family: Family): readonly string[] {
  if (!Array.isArray(addresses)) throw new UsageError("lookup must resolve to an array of addresses");
  for (const address of addresses) {
    if (isIP(address) === family) continue;
    throw new UsageError(`lookup returned ${address}, which is not an ${familyName(family)} address`);
  }
  return addresses;
}
