// The addresses of both ends of a socket.

import type { Socket } from "node:net";
import { TransportError } from "../errors.ts";
import { type ConnectionInfo, type Endpoint, endpoint } from "../transport/address.ts";

/**
 * Both ends of a socket; `client` is the real client where a PROXY header named one.
 *
 * @throws TransportError (`enotconn`) for a unix socket, and for a peer that left before it was first asked for.
 */
export function connectionInfo(socket: Socket, client: Endpoint | undefined): ConnectionInfo {
  const peer = client ?? endpoint(socket.remoteAddress, socket.remotePort);
  const local = endpoint(socket.localAddress, socket.localPort);
  if (peer === undefined || local === undefined) throw new TransportError("enotconn");
  return { ipAddress: peer.ipAddress, port: peer.port, local };
}
