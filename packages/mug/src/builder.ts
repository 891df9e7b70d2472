/** The builder form of {@link connect}: each method gives a new builder, and refuses a bad value at once. */

import { connect } from "./connect.ts";
import {
  type ConnectOptions,
  checkOptions,
  checkTarget,
  type IpVersionPreference,
  type Lookup,
  type TlsOptions,
} from "./options.ts";
import type { Socket } from "./socket.ts";
import type { Tap } from "./tap.ts";

/** A connection described and not made. It never changes: every method gives a new one. */
export class ConnectionBuilder {
  /** What has been said so far, checked and frozen. */
  readonly options: ConnectOptions;

  /** @internal Use `mug.new` or `mug.unix`. */
  constructor(options: ConnectOptions) {
    checkOptions(options);
    this.options = Object.freeze({ ...options });
  }

  /** Milliseconds to get connected, for each family anew. Default 1000. */
  timeout(ms: number): ConnectionBuilder {
    return this.#with({ timeout: ms });
  }

  /** Which IP versions to try, in which order. Default `"ipv6-preferred"`. */
  ipVersionPreference(preference: IpVersionPreference): ConnectionBuilder {
    return this.#with({ ipVersionPreference: preference });
  }

  /** Races the families (RFC 8305); `attemptDelay` is an address's head start in ms, default 250. */
  happyEyeballs(attemptDelay?: number): ConnectionBuilder {
    return this.#with({ happyEyeballs: true, ...(attemptDelay === undefined ? {} : { attemptDelay }) });
  }

  /** TLS from the first byte. */
  withTls(options: TlsOptions = {}): ConnectionBuilder {
    return this.#with({ tls: options });
  }

  /** IP address, and if wanted port, to connect from. */
  localAddress(address: string, port = 0): ConnectionBuilder {
    return this.#with({ localAddress: address, localPort: port });
  }

  /** Resolves names with this instead of the system's resolver. */
  lookup(lookup: Lookup): ConnectionBuilder {
    return this.#with({ lookup });
  }

  /** Cancels connecting. */
  signal(signal: AbortSignal): ConnectionBuilder {
    return this.#with({ signal });
  }

  /** Sends small writes at once. Default true. */
  noDelay(noDelay: boolean): ConnectionBuilder {
    return this.#with({ noDelay });
  }

  /** Bytes held unasked before the socket stops reading; most bytes of one receive. */
  limits(limits: { readonly highWaterMark?: number; readonly maxReceive?: number }): ConnectionBuilder {
    return this.#with(limits);
  }

  /** Tells every chunk and event. */
  tap(tap: Tap): ConnectionBuilder {
    return this.#with({ tap });
  }

  /** Connects; see {@link connect}. A builder can connect any number of times. */
  connect(): Promise<Socket> {
    return connect(this.options);
  }

  #with(change: ConnectOptions): ConnectionBuilder {
    return new ConnectionBuilder({ ...this.options, ...change });
  }
}

/** A connection to a host and port, to be configured and connected. Exported as `new`. */
export function create(
  host: string,
  options: Omit<ConnectOptions, "host" | "path"> & { readonly port: number },
): ConnectionBuilder {
  const builder = new ConnectionBuilder({ ...options, host });
  checkTarget(builder.options);
  return builder;
}

/** A connection to a unix domain socket. */
export function unix(path: string): ConnectionBuilder {
  const builder = new ConnectionBuilder({ path });
  checkTarget(builder.options);
  return builder;
}
