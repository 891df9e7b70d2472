// Low-level TCP: passive sockets, driven by calls. A server built on `@x/glisten` needs none of this.

import type { Socket } from "node:net";
import type { BoundAddress } from "../transport/address.ts";
import {
  checkListenOptions,
  type SocketSettings,
  socketSettingsOf,
  type TcpOptions,
} from "../transport/socket-options.ts";
import { listenPassively, PassiveListener } from "./passive-listener.ts";
import { PassiveSocket } from "./passive-socket.ts";

export {
  DeadlineError,
  describeError,
  type SocketReason,
  StartError,
  TransportError,
  UsageError,
} from "../errors.ts";
export type { BoundAddress, Endpoint, IpAddress } from "../transport/address.ts";
export { ipAddressToString } from "../transport/address.ts";
export type { Sendable } from "../transport/sendable.ts";
export type {
  ActiveMode,
  Interface,
  Linger,
  SocketOptions,
  SocketSettings,
  TcpOptions,
} from "../transport/socket-options.ts";
export type { PassiveListener } from "./passive-listener.ts";
export type {
  ControllingProcess,
  PassiveSocket,
  SocketMessage,
} from "./passive-socket.ts";
export type { WaitOptions } from "./wait.ts";

/** A passive TCP or unix socket. */
export class TcpSocket extends PassiveSocket {
  /** @internal Accepted by a listener. */
  constructor(raw: Socket, settings: SocketSettings, listener: BoundAddress) {
    super(raw, settings, listener);
    this.attach(raw);
  }

  /** Nothing to shake hands about: resolves with the socket, as `tls` sockets do. */
  handshake(): Promise<this> {
    return Promise.resolve(this);
  }

  /** TCP negotiates no protocol. */
  negotiatedProtocol(): undefined {
    return undefined;
  }
}

/** A passive listening socket; `accept` gives {@link TcpSocket}s. */
export type TcpListener = PassiveListener<TcpSocket>;

/**
 * Listens on a port (0: one the system chooses), or on a unix socket with `ip: { unixPath }` (`port` is 0 then).
 *
 * @throws StartError (rejects) when the system refuses; UsageError for an option that cannot be set.
 *
 * @example
 * ```ts
 * await using listener = await listen(0, { ip: "loopback" });
 * const socket = await listener.accept({ timeout: 5_000 });
 * await socket.send(await socket.receive(5));
 * await socket.close();
 * ```
 */
export async function listen(port: number, options: TcpOptions = {}): Promise<TcpListener> {
  checkListenOptions(options);
  const settings = socketSettingsOf(options);
  const wrap = (raw: Socket, address: BoundAddress) => new TcpSocket(raw, settings, address);
  return new PassiveListener(await listenPassively(port, options, wrap));
}
