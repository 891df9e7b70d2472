/** The two ends of a connection, as values that outlive it. */

import type { Socket as NetSocket } from "node:net";

/** An end of a connection. The client's end of a unix connection has the empty path. */
export type Address =
  | { readonly family: "ipv4" | "ipv6"; readonly address: string; readonly port: number }
  | { readonly family: "unix"; readonly path: string };

/** The peer's end, read while connected. */
export function peerOf(stream: NetSocket, path: string): Address {
  const { remoteAddress, remotePort, remoteFamily } = stream;
  return addressOf(remoteAddress, remotePort, remoteFamily, path);
}

/** Our end, read while connected. */
export function ownOf(stream: NetSocket): Address {
  return addressOf(stream.localAddress, stream.localPort, stream.localFamily, "");
}

function addressOf(
  address: string | undefined,
  port: number | undefined,
  family: string | undefined,
  path: string,
): Address {
  if (address === undefined || port === undefined) return { family: "unix", path };
  return { family: family === "IPv6" ? "ipv6" : "ipv4", address, port };
}
