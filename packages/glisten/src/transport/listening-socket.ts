// One listening `net.Server`: made with the options every transport shares, bound or refused.
//
// Owns: the options, the moment between `listen()` and its answer, and the sentence a refusal becomes. Refuses:
// knowing which kind of address it is. Nothing is read from an accepted socket before its owner asks.

import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { describeError, type SocketReason, StartError, toSocketReason } from "../errors.ts";
import { type BoundAddress, parseIpAddress, unmapIpAddress } from "./address.ts";

/** What is the same for every listening socket. */
export interface ListenerOptions {
  /** Connections the kernel holds for us before they are accepted. Default: 1024. */
  readonly backlog?: number | undefined;
  /** Sends small writes at once (TCP_NODELAY) on accepted TCP sockets. Default: true. */
  readonly noDelay?: boolean | undefined;
  /** Keeps our side open when the peer has sent its FIN. Default: true. */
  readonly allowHalfOpen?: boolean | undefined;
  /** Hands out sockets that are not read until someone resumes them. Default: true. */
  readonly pauseOnConnect?: boolean | undefined;
  /** Bytes read ahead, and bytes written ahead before a write says false. Default: Node's. */
  readonly highWaterMark?: number | undefined;
  /** A connection was accepted. */
  readonly onConnection: (socket: Socket) => void;
  /** Accepting failed after listening had begun, for example with EMFILE; the socket goes on listening. */
  readonly onError: (error: Error) => void;
}

/** A socket, or several that belong together, accepting connections. */
export interface OpenListener {
  readonly kind: "tcp" | "unix" | "memory";
  /** Where it listens: the first address when there are several. */
  readonly address: BoundAddress;
  /** Every address it listens on. */
  readonly addresses: readonly BoundAddress[];
  /** The TCP port; undefined for a unix socket and memory. */
  readonly port: number | undefined;
  /** Node's servers, one per address; none for memory. */
  readonly servers: readonly Server[];
  /** Stops accepting, at once. Connections already accepted are left alone. A second call does nothing. */
  close(): void;
}

/** A server with the shared options that listens on nothing yet. */
export function createListeningServer(options: ListenerOptions): Server {
  const { noDelay = true, allowHalfOpen = true, pauseOnConnect = true, highWaterMark } = options;
  const limits = highWaterMark === undefined ? {} : { highWaterMark };
  const server = createServer({ noDelay, allowHalfOpen, pauseOnConnect, ...limits });
  server.on("connection", options.onConnection);
  return server;
}

/** An address to bind, or the descriptor of a socket that is bound already. */
export type ListenWhere = ListenOptions | { readonly fd: number };

/** Binds and listens; rejects with Node's error. From then on failures go to `onError`. */
export function listenOn(server: Server, where: ListenWhere, options: ListenerOptions): Promise<void> {
  const backlog = options.backlog ?? 1024;
  return new Promise((resolve, reject) => {
    const listening = () => {
      server.off("error", reject);
      server.on("error", options.onError);
      resolve();
    };
    server.once("error", reject);
    if ("fd" in where) server.listen(where, backlog, listening);
    else server.listen({ backlog, ...where }, listening);
  });
}

/** Bundles servers that listen already. */
export function openListenerOf(servers: readonly Server[], addresses: readonly BoundAddress[]): OpenListener {
  const address = addresses[0]!;
  return {
    kind: address.type,
    address,
    addresses,
    port: address.type === "tcp" ? address.port : undefined,
    servers,
    close: () => closeServers(servers),
  };
}

/** Stops listening, now; the kernel's queue of a socket goes with it. */
export function closeServers(servers: readonly Server[]): void {
  for (const server of servers) if (server.listening) server.close();
}

/** The address of a listening TCP server; undefined for another kind of server. */
export function tcpAddressOf(server: Server): BoundAddress | undefined {
  const address = server.address();
  if (address === null || typeof address === "string") return undefined;
  const ipAddress = parseIpAddress(address.address);
  return ipAddress && { type: "tcp", ipAddress: unmapIpAddress(ipAddress), port: address.port };
}

const hints: Partial<Record<SocketReason, string>> = {
  eaddrinuse: "another process listens there",
  eaddrnotavail: "no network interface of this machine has it",
  emfile: "raise the limit on open files",
};

/** A refusal by the operating system in one sentence with the address in it. */
export function listenRefused(address: string, cause: unknown, why?: string): StartError {
  const socketReason = toSocketReason(cause);
  const hint = why ?? hints[socketReason];
  const tail = hint === undefined ? "" : `; ${hint}`;
  const message = `Cannot listen on ${address}: ${describeError(socketReason)} (${socketReason})${tail}.`;
  return new StartError("system-error", { message, socketReason, address, cause });
}
