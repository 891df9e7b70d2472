// Every option of a connection: its meaning, its default, and which values and combinations are refused.

import { isIP } from "node:net";
import {
  type Check,
  type Checks,
  checkOptions,
  isBoolean,
  isFunction,
  isInteger,
  isListOf,
  isOneOf,
  isPem,
  isSignal,
  isText,
  isTimeout,
  refuse,
} from "./checks.ts";
import { UsageError } from "./errors.ts";
import type { Tap } from "./socket/tap.ts";

/** Which IP versions to try, and in which order. Each family gets the whole timeout. */
export type IpVersionPreference = "ipv4-only" | "ipv4-preferred" | "ipv6-only" | "ipv6-preferred";

/** Resolves a host name to the addresses of one family, best first. */
export type Lookup = (host: string, family: 4 | 6) => Promise<readonly string[]>;

/** Options of a TLS client. Certificates and keys are PEM text, PEM bytes, or DER bytes (keys as PKCS #8). */
export interface TlsOptions {
  /** Certificate authorities to trust instead of the built-in ones. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** The name to ask for (SNI) and to verify. Default: the host. Required on a unix socket and over a Duplex. */
  readonly serverName?: string | undefined;
  /** ALPN protocols to offer, preferred first. */
  readonly alpnProtocols?: readonly string[] | undefined;
  /** Client certificate with its chain, or an array: the certificate, then its chain. Requires `key`. */
  readonly cert?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** Private key of `cert`: PEM, or DER (PKCS #8). */
  readonly key?: string | Uint8Array | undefined;
  /** Passphrase of an encrypted `key`. */
  readonly passphrase?: string | undefined;
  /** Oldest version to accept. Default: Node's (TLS 1.2). */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Newest version to accept. Default: Node's (TLS 1.3). */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Accepts any certificate, so anyone on the path can read and change everything. For tests. Default false. */
  readonly dangerouslyDisableVerification?: boolean | undefined;
}

/** Options of every socket, however it comes about. */
export interface SocketOptions {
  /** Bytes to buffer before the socket stops reading. Default 65 536. */
  readonly highWaterMark?: number | undefined;
  /** Most bytes one receive may ask for or collect. Default 67 108 864 (64 MiB). */
  readonly maxReceive?: number | undefined;
  /** Observes every chunk and event, for transcripts and logs. */
  readonly tap?: Tap | undefined;
}

/** Options of {@link connect}. Either `host` with `port`, or `path`. */
export interface ConnectOptions extends SocketOptions {
  /** Host name or IP address. */
  readonly host?: string | undefined;
  /** 1 to 65535. */
  readonly port?: number | undefined;
  /** Unix domain socket, instead of `host` and `port`. */
  readonly path?: string | undefined;
  /** Milliseconds to connect, TLS handshake included, for each address family. Default 1000. */
  readonly timeout?: number | undefined;
  /** Default `"ipv6-preferred"`. */
  readonly ipVersionPreference?: IpVersionPreference | undefined;
  /** Race both families (RFC 8305) within one timeout instead of trying one after the other. Default false. */
  readonly happyEyeballs?: boolean | undefined;
  /** Head start of an address over the next one in the race, 10 to 2000 ms. Default 250 (RFC 8305 §8). */
  readonly attemptDelayMs?: number | undefined;
  /** IP address to connect from. */
  readonly localAddress?: string | undefined;
  /** Port to connect from; 0 lets the system choose. Default 0. */
  readonly localPort?: number | undefined;
  /** Resolves host names. Default: the system's resolver (getaddrinfo). */
  readonly lookup?: Lookup | undefined;
  /** TLS from the first byte. `true` is `{}`. Default false. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Cancels connecting; the promise rejects with code `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Sends small writes at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean | undefined;
}

/** Options of a connection to a host: {@link ConnectOptions} without `host` and `path`. */
export interface HostOptions extends Omit<ConnectOptions, "host" | "path"> {
  /** 1 to 65535. */
  readonly port: number;
}

/** How long a call waits. Without either option it waits until the peer or the network decides. */
export interface WaitOptions {
  /** Milliseconds; 0 means "only what is there now". */
  readonly timeout?: number | undefined;
  /** Rejects with code `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** For receives that collect. More than `max` bytes is code `emsgsize`; nothing is consumed then. */
export interface CollectOptions extends WaitOptions {
  /** Bytes, delimiter included. Default: 65 536; for `receiveToEnd` the socket's `maxReceive`. */
  readonly max?: number | undefined;
}

/** The defaults, in bytes and milliseconds. */
interface Defaults {
  readonly timeout: number;
  readonly ipVersionPreference: IpVersionPreference;
  readonly attemptDelayMs: number;
  readonly noDelay: boolean;
  readonly highWaterMark: number;
  readonly maxReceive: number;
  /** What `receiveUntil` and `receiveLine` collect at most. */
  readonly maxUntil: number;
  /** How long `close` tries to flush. */
  readonly closeTimeout: number;
  /** How long a socket that was shut down waits for the peer's FIN. */
  readonly linger: number;
}

export const defaults: Defaults = {
  timeout: 1000,
  ipVersionPreference: "ipv6-preferred",
  attemptDelayMs: 250,
  noDelay: true,
  highWaterMark: 64 * 1024,
  maxReceive: 64 * 1024 * 1024,
  maxUntil: 64 * 1024,
  closeTimeout: 5000,
  linger: 1000,
};

const isTap: Check = (value, name) => {
  if (typeof value !== "object" || value === null) refuse(name, "an object", value);
  // An instance of a class may well have fields of its own; in a literal an unknown name is a misspelt one.
  const literal = [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (literal) checkOptions(value, { received: isFunction, sent: isFunction, event: isFunction }, name);
  for (const method of ["received", "sent", "event"] as const) {
    const listener = (value as Tap)[method];
    if (listener !== undefined) isFunction(listener, `${name}.${method}`);
  }
};

const socketChecks: Checks<SocketOptions> = {
  highWaterMark: isInteger(1, 2 ** 30),
  maxReceive: isInteger(1, 2 ** 31 - 1),
  tap: isTap,
};

const isCertificates: Check = (value, name) => (Array.isArray(value) ? isListOf(isPem) : isPem)(value, name);

export const connectChecks: Checks<ConnectOptions> = {
  host: isText,
  port: isInteger(1, 65_535),
  path: isText,
  timeout: isTimeout,
  ipVersionPreference: isOneOf("ipv4-only", "ipv4-preferred", "ipv6-only", "ipv6-preferred"),
  happyEyeballs: isBoolean,
  attemptDelayMs: isInteger(10, 2000),
  localAddress: (value, name) => {
    if (typeof value !== "string" || isIP(value) === 0) refuse(name, "an IP address", value);
  },
  localPort: isInteger(0, 65_535),
  lookup: isFunction,
  tls: (value, name) => (typeof value === "boolean" ? undefined : checkTls(value, name)),
  signal: isSignal,
  noDelay: isBoolean,
  ...socketChecks,
};

export const tlsChecks: Checks<TlsOptions> = {
  ca: isCertificates,
  serverName: isText,
  alpnProtocols: isListOf(isText),
  cert: isCertificates,
  key: isPem,
  passphrase: isText,
  minVersion: isOneOf("TLSv1.2", "TLSv1.3"),
  maxVersion: isOneOf("TLSv1.2", "TLSv1.3"),
  dangerouslyDisableVerification: isBoolean,
};

export const waitChecks: Checks<WaitOptions> = { timeout: isTimeout, signal: isSignal };

export const startTlsChecks: Checks<TlsOptions & WaitOptions> = { ...tlsChecks, ...waitChecks };

/** `max` is checked against the limit of the socket, by the socket. */
export const collectChecks: Checks<CollectOptions> = { ...waitChecks, max: () => {} };

/** Checks TLS options by themselves and together. */
export function checkTls(options: unknown, name = "tls"): void {
  checkOptions(options as TlsOptions, tlsChecks, name);
  const { cert, key, passphrase, minVersion, maxVersion } = options as TlsOptions;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${name}.cert and ${name}.key must be given together`);
  }
  if (minVersion === "TLSv1.3" && maxVersion === "TLSv1.2") {
    throw new UsageError(`${name}.minVersion must not be above ${name}.maxVersion`);
  }
  if (passphrase !== undefined && key === undefined) {
    throw new UsageError(`${name}.passphrase requires ${name}.key`);
  }
}

/** Checks one option by itself; here a missing value is a mistake too. */
export function checkOption<Name extends keyof ConnectOptions>(
  name: Name,
  value: ConnectOptions[Name],
): void {
  connectChecks[name](value, name);
}

/** Checks each option by itself, so that a builder's method can refuse at once. */
export function checkConnect(options: ConnectOptions): void {
  checkOptions(options, connectChecks);
}

export function checkSocket(options: SocketOptions): void {
  checkOptions(options, socketChecks);
}

/** Options that apply to hosts only. */
const hostOptions = [
  ...(["host", "port", "localAddress", "localPort", "ipVersionPreference"] as const),
  ...(["happyEyeballs", "attemptDelayMs", "lookup", "noDelay"] as const),
];

/** Checks that the options together describe a reachable target. */
export function checkTarget(options: ConnectOptions): void {
  if (options.path !== undefined) {
    for (const name of hostOptions) {
      if (options[name] !== undefined) throw new UsageError(`${name} does not apply to a unix socket`);
    }
    const { tls = false } = options;
    if (tls !== false) checkVerifiable(undefined, tls === true ? {} : tls);
    return;
  }
  if (options.host === undefined) throw new UsageError("host (with port) or path is required");
  if (options.port === undefined) throw new UsageError("port is required");
  if (options.attemptDelayMs !== undefined && options.happyEyeballs !== true) {
    throw new UsageError("attemptDelayMs requires happyEyeballs");
  }
  checkFamilies(options.host, options);
}

/** A certificate vouches for a name, so a connection without a host needs one from the caller. */
export function checkVerifiable(host: string | undefined, tls: TlsOptions): void {
  if (host !== undefined || tls.serverName !== undefined || tls.dangerouslyDisableVerification === true)
    return;
  throw new UsageError("tls.serverName is required without a host: it is the name to verify");
}

/** An IP address and a preference for only the other family can never agree. */
function checkFamilies(host: string, options: ConnectOptions): void {
  const preference = options.ipVersionPreference ?? defaults.ipVersionPreference;
  for (const address of [host, options.localAddress ?? ""]) {
    const version = isIP(address);
    const impossible = version === 4 ? "ipv6-only" : version === 6 ? "ipv4-only" : undefined;
    if (impossible === preference) {
      throw new UsageError(`${address} cannot be used with ipVersionPreference "${preference}"`);
    }
  }
}
