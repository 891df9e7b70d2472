// The client's address as other libraries spell it.

import { ipAddressToString } from "@x/glisten";
import type { Request } from "../http/request.ts";
import { getConnectionInfo } from "../server/exchange/request-services.ts";

/** Where a request came from. */
export interface ClientAddress {
  /** IPv6 without brackets. */
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
  readonly port: number;
}

/** The client's address, the real client's where the PROXY protocol is on or a trusted proxy tells it; undefined on
 * a unix socket. */
export function addressOfClient(request: Request): ClientAddress | undefined {
  try {
    const { ipAddress, port } = getConnectionInfo(request);
    const family = ipAddress.type === "ipv4" ? "IPv4" : "IPv6";
    return { address: ipAddressToString(ipAddress), family, port };
  } catch {
    return undefined;
  }
}
