// The stream below a socket: any Duplex. What only a `net.Socket` has is used where it is there.

import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/** What mug asks a stream for. */
export type ByteStream = Duplex &
  Partial<
    Pick<
      NetSocket,
      | ("remoteAddress" | "remotePort" | "remoteFamily" | "localAddress" | "localPort" | "localFamily")
      | ("bytesRead" | "bytesWritten" | "resetAndDestroy" | "connecting")
    >
  >;

/** An end of a connection. The client's end of a unix connection has the empty path; a plain Duplex has no address. */
export type Address =
  | { readonly family: "ipv4" | "ipv6"; readonly address: string; readonly port: number }
  | { readonly family: "unix"; readonly path: string }
  | { readonly family: "duplex" };

/** The peer's end, read while connected. */
export function peerOf(stream: ByteStream, path: string): Address {
  return addressOf(stream, stream.remoteAddress, stream.remotePort, stream.remoteFamily, path);
}

/** This end, read while connected. */
export function ownOf(stream: ByteStream): Address {
  return addressOf(stream, stream.localAddress, stream.localPort, stream.localFamily, "");
}

function addressOf(
  stream: ByteStream,
  address: string | undefined,
  port: number | undefined,
  family: string | undefined,
  path: string,
): Address {
  if (address !== undefined && port !== undefined) {
    return { family: family === "IPv6" ? "ipv6" : "ipv4", address, port };
  }
  return stream instanceof NetSocket ? { family: "unix", path } : { family: "duplex" };
}

/** Ends a stream with a reset if it knows how; a unix socket has none, and Node refuses one for its TLS sockets. */
export function resetOf(stream: ByteStream): (() => void) | undefined {
  if (stream instanceof TLSSocket || typeof stream.resetAndDestroy !== "function") return undefined;
  if (stream instanceof NetSocket && stream.remotePort === undefined) return undefined;
  return () => void stream.resetAndDestroy!();
}
