// Who the client is and what it asked for, where trusted proxies in front speak HTTP.
//
// Owns the option, and whom to believe: the peer's own address must be in the list, else the fields are a stranger's.

import { type Connection, type ConnectionInfo, ipAddressToString, parseIpAddress } from "@x/glisten";
import { checkNames, shown, type TrustedPeers, trustedPeers, unmapIpAddress } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import type { Fields } from "../../http/fields.ts";
import {
  type ForwardedFacts,
  type ForwardedHeaders,
  type ForwardedNode,
  forwardedFacts,
} from "../../http/forwarded.ts";

/** Options of `withForwarded`: which proxies in front are believed, and by which fields. */
export interface ForwardedOptions {
  /**
   * The proxies: IP addresses, subnets such as `"10.0.0.0/8"`, and `"unix"` for those that connect by a unix socket without
   * TLS. All addresses that the proxies in front of one another connect from must be in it. Where the PROXY protocol is on,
   * the peer is the client that it names.
   */
  readonly trustedPeers: readonly string[];
  /**
   * Which fields they write: `forwarded` (RFC 7239), or `x-forwarded-for`, `-proto`, `-host` and `-port`. The others are
   * not looked at, since a proxy that does not know them passes on what clients send.
   */
  readonly headers: ForwardedHeaders;
}

/** The option, checked. */
export interface ForwardedSettings {
  readonly trusted: TrustedPeers;
  readonly headers: ForwardedHeaders;
}

/** Checks the option. @throws UsageError */
export function forwardedSettings(options: ForwardedOptions): ForwardedSettings {
  checkNames("withForwarded", options, ["trustedPeers", "headers"]);
  const { trustedPeers: peers, headers } = options;
  if (!Array.isArray(peers)) throw new UsageError(`trustedPeers must be a list, got ${shown(peers)}`);
  if (headers !== "forwarded" && headers !== "x-forwarded") {
    throw new UsageError(`headers must be "forwarded" or "x-forwarded", got ${shown(headers)}`);
  }
  return { trusted: trustedPeers(peers), headers };
}

/** What a request's proxies say. */
export interface Forwarded extends Omit<ForwardedFacts, "client"> {
  /** Undefined: they name no client. */
  readonly info: ConnectionInfo | undefined;
}

/** What is asked of the connection. */
type Peer = Pick<Connection, "transport" | "info">;

const nothing: Forwarded = { info: undefined, scheme: undefined, authority: undefined, port: undefined };

/** Reads it from the fields as they came. */
export function readForwarded(
  { trusted, headers }: ForwardedSettings,
  connection: Peer,
  fields: Fields,
): Forwarded {
  const own = addresses(connection);
  // A peer that is gone has no address either; only the transport tells a unix socket.
  if (own === undefined && connection.transport !== "unix") return nothing;
  if (!trusted.trusts(own && ipAddressToString(own.ipAddress))) return nothing;
  const facts = forwardedFacts(fields, headers, (address) => trusted.trusts(address));
  if (facts === undefined) return nothing;
  const { client, ...target } = facts;
  return { ...target, info: client === undefined ? undefined : infoOf(client, own) };
}

function addresses(connection: Peer): ConnectionInfo | undefined {
  try {
    return connection.info();
  } catch {
    return undefined;
  }
}

/** A unix socket has no address of its own. */
const unspecified: ConnectionInfo["local"] = { ipAddress: { type: "ipv4", octets: [0, 0, 0, 0] }, port: 0 };

function infoOf({ address, port = 0 }: ForwardedNode, own: ConnectionInfo | undefined): ConnectionInfo {
  const ipAddress = unmapIpAddress(parseIpAddress(address)!);
  return { ipAddress, port, local: own?.local ?? unspecified };
}
