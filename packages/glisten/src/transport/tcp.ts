// TCP listening sockets.
//
// Owns: one port on one or two addresses (an IPv4 loopback and `::1` share a port number but are two sockets),
// port 0, dual stack. Refuses: host names, and options this Node cannot set.

import type { Server } from "node:net";
import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { type BindAddress, bindAddresses, hostAndPort } from "./address.ts";
import {
  closeServers,
  createListeningServer,
  type ListenerOptions,
  listenOn,
  listenRefused,
  type OpenListener,
  openListenerOf,
  tcpAddressOf,
} from "./listening-socket.ts";

/** A TCP port to listen on. */
export interface TcpTarget {
  /** 0 to 65535; 0 lets the system choose, the same number for every address. */
  readonly port: number;
  /** `"localhost"` (default), `"0.0.0.0"`, `"::"`, or an address of this machine. */
  readonly interface?: string | undefined;
  /** Serves an IPv4 interface over IPv6 as well. Default: false. */
  readonly ipv6?: boolean | undefined;
  /** Lets several processes listen on one port, the kernel sharing out connections. Default: false. */
  readonly reusePort?: boolean | undefined;
}

// A port the system chose for the first address may be taken on the second; then it chooses again.
const portAttempts = 16;

/**
 * Listens on a TCP port.
 *
 * @throws StartError (`"system-error"`) when the system refuses; UsageError for a bad port or interface.
 */
export async function openTcpListener(target: TcpTarget, options: ListenerOptions): Promise<OpenListener> {
  checkPort(target.port);
  if (target.reusePort) requireReusePort();
  const addresses = bindAddresses(target.interface ?? "localhost", target.ipv6);
  for (let attempt = 1; ; attempt += 1) {
    const refusal = { retry: target.port === 0 && attempt < portAttempts };
    const servers = await tryAddresses(addresses, target, options, refusal);
    if (servers !== undefined)
      return openListenerOf(
        servers,
        servers.map((each) => tcpAddressOf(each)!),
      );
  }
}

async function tryAddresses(
  addresses: readonly BindAddress[],
  { port, reusePort = false }: TcpTarget,
  options: ListenerOptions,
  { retry }: { retry: boolean },
): Promise<readonly Server[] | undefined> {
  const servers: Server[] = [];
  let chosen = port;
  for (const { host, ipv6Only } of addresses) {
    const server = createListeningServer(options);
    try {
      await listenOn(server, { host, port: chosen, ipv6Only, ...(reusePort && { reusePort }) }, options);
    } catch (cause) {
      closeServers(servers);
      if (retry && servers.length > 0 && isTaken(cause)) return undefined;
      throw listenRefused(hostAndPort(host, chosen), cause, hintFor(cause));
    }
    servers.push(server);
    chosen = portOf(server);
  }
  return servers;
}

function isTaken(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
}

function hintFor(cause: unknown): string | undefined {
  const forbidden = (cause as NodeJS.ErrnoException).code === "EACCES";
  return forbidden ? "a port below 1024 needs a privilege" : undefined;
}

function portOf(server: Server): number {
  const address = tcpAddressOf(server);
  return address?.type === "tcp" ? address.port : 0;
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return;
  throw new UsageError(`a port must be an integer from 0 to 65535, got ${shown(port)}`);
}

/** `reusePort` came with Node 22.12 and 23.1; an older Node ignores it in silence. */
function requireReusePort(): void {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)) return;
  throw new UsageError(`reusePort needs Node.js 22.12 or newer, and this is ${process.versions.node}`);
}
