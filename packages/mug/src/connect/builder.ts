// The builder form of `connect`: each method returns a new builder and refuses a bad value at once.

import {
  type ConnectOptions,
  checkConnect,
  checkOption,
  checkSocket,
  checkTarget,
  type HostOptions,
  type IpVersionPreference,
  type Lookup,
  type SocketOptions,
  type TlsOptions,
} from "../options.ts";
import type { Socket } from "../socket/socket.ts";
import type { Tap } from "../socket/tap.ts";
import { connect, connectOptions } from "./connect.ts";

/** A connection described but not made. Immutable: every method returns a new builder, so use the result. */
export class ConnectionBuilder {
  /** The options so far, checked and frozen. */
  readonly options: ConnectOptions;

  /** @internal Use `mug.new` or `mug.unix`. */
  constructor(options: ConnectOptions) {
    this.options = Object.freeze({ ...options });
  }

  /** Milliseconds to connect, for each address family. Default 1000. */
  timeout(ms: number): ConnectionBuilder {
    return this.#set("timeout", ms);
  }

  /** Which IP versions to try, and in which order. Default `"ipv6-preferred"`. */
  ipVersionPreference(preference: IpVersionPreference): ConnectionBuilder {
    return this.#set("ipVersionPreference", preference);
  }

  /** Races the families (RFC 8305); `attemptDelayMs` is an address's head start, default 250. */
  happyEyeballs(attemptDelayMs?: number): ConnectionBuilder {
    const builder = this.#set("happyEyeballs", true);
    return attemptDelayMs === undefined ? builder : builder.#set("attemptDelayMs", attemptDelayMs);
  }

  /** TLS from the first byte. */
  withTls(options: TlsOptions = {}): ConnectionBuilder {
    return this.#set("tls", options);
  }

  /** IP address, and optionally the port, to connect from. */
  localAddress(address: string, port = 0): ConnectionBuilder {
    return this.#set("localAddress", address).#set("localPort", port);
  }

  /** Resolves names with this function instead of the system's resolver. */
  lookup(lookup: Lookup): ConnectionBuilder {
    return this.#set("lookup", lookup);
  }

  /** Cancels connecting. */
  signal(signal: AbortSignal): ConnectionBuilder {
    return this.#set("signal", signal);
  }

  /** Sends small writes at once. Default true. */
  noDelay(noDelay: boolean): ConnectionBuilder {
    return this.#set("noDelay", noDelay);
  }

  /** `highWaterMark`: bytes to buffer before the socket stops reading; `maxReceive`: most bytes of one receive. */
  limits(limits: Omit<SocketOptions, "tap">): ConnectionBuilder {
    checkSocket(limits);
    return new ConnectionBuilder({ ...this.options, ...limits });
  }

  /** Observes every chunk and event. */
  tap(tap: Tap): ConnectionBuilder {
    return this.#set("tap", tap);
  }

  /** Connects; see {@link connect}. A builder can connect any number of times. */
  connect(): Promise<Socket> {
    return connect(this.options);
  }

  #set<Name extends keyof ConnectOptions>(name: Name, value: ConnectOptions[Name]): ConnectionBuilder {
    checkOption(name, value);
    return new ConnectionBuilder({ ...this.options, [name]: value });
  }
}

/** A connection to a host and port, to be configured and connected. Exported as `new`. */
export function create(host: string, options: HostOptions): ConnectionBuilder {
  const all = connectOptions(host, options);
  checkTarget(all);
  return new ConnectionBuilder(all);
}

/** A connection to a unix domain socket. */
export function unix(path: string, options: Omit<ConnectOptions, "path"> = {}): ConnectionBuilder {
  checkOption("path", path);
  const all: ConnectOptions = { ...options, path };
  checkConnect(all);
  checkTarget(all);
  return new ConnectionBuilder(all);
}
