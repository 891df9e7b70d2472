/**
 * Every option of a connection: its meaning, its default and what is refused. A value no socket could honour
 * is a UsageError at the call that brings it, and so is an option name that does not exist.
 */

import { isIP } from "node:net";
import { UsageError } from "./errors.ts";
import type { Tap } from "./tap.ts";

/** Which IP versions to try, and in which order. Each family gets the whole timeout. */
export type IpVersionPreference = "ipv4-only" | "ipv4-preferred" | "ipv6-only" | "ipv6-preferred";

/** Resolves a host name to the addresses of one family, best first. */
export type Lookup = (host: string, family: 4 | 6) => Promise<readonly string[]>;

/** Settings of a TLS client. Certificates and keys are PEM text, PEM bytes, or DER bytes (keys as PKCS #8). */
export interface TlsOptions {
  /** Certificate authorities to trust instead of the built-in ones. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** The name to ask for (SNI) and to verify; the host by default. Needed for a unix path. */
  readonly serverName?: string;
  /** Protocols to offer, preferred first. */
  readonly alpnProtocols?: readonly string[];
  /** Client certificate (chain), with `key`. */
  readonly cert?: string | Uint8Array;
  /** Its private key: PEM, or DER (PKCS #8). */
  readonly key?: string | Uint8Array;
  /** What the private key is encrypted with. */
  readonly passphrase?: string;
  /** Oldest version to speak. Default: Node's (TLS 1.2). */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** Newest version to speak. Default: Node's (TLS 1.3). */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** Takes any certificate, so anybody in between can read and change everything. For tests. */
  readonly dangerouslyDisableVerification?: boolean;
}

/** Everything `connect` takes. One of `host` with `port`, or `path`. */
export interface ConnectOptions {
  /** Host name or IP address. */
  readonly host?: string;
  /** 1 to 65535. */
  readonly port?: number;
  /** Unix domain socket, instead of `host` and `port`. */
  readonly path?: string;
  /** Milliseconds to get connected, TLS handshake included; the whole of it for each family. Default 1000. */
  readonly timeout?: number;
  /** Default `"ipv6-preferred"`. */
  readonly ipVersionPreference?: IpVersionPreference;
  /** Race both families (RFC 8305) instead of one after the other; one timeout for all. Default false. */
  readonly happyEyeballs?: boolean;
  /** Head start of an address over the next one in the race, 10 to 2000 ms. Default 250 (RFC 8305 §8). */
  readonly attemptDelay?: number;
  /** IP address to connect from. */
  readonly localAddress?: string;
  /** Port to connect from; 0 lets the system choose. Default 0. */
  readonly localPort?: number;
  /** Default: the system's resolver (getaddrinfo). */
  readonly lookup?: Lookup;
  /** TLS from the first byte. `true` is `{}`. Default false. */
  readonly tls?: boolean | TlsOptions;
  /** Cancels connecting; the promise rejects with code `aborted`. */
  readonly signal?: AbortSignal;
  /** Sends small writes at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
  /** Bytes to hold unasked before the socket stops reading. Default 65 536. */
  readonly highWaterMark?: number;
  /** Most bytes one receive may ask for or collect. Default 67 108 864 (64 MiB). */
  readonly maxReceive?: number;
  /** Is told of every chunk and event, for transcripts and logs. */
  readonly tap?: Tap;
}

/** How long to wait, for every call that waits. Without either it waits until the peer or the network decides. */
export interface WaitOptions {
  /** Milliseconds; 0 answers with what is there now. */
  readonly timeout?: number | undefined;
  /** Rejects with code `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** For receives that collect: `max` bytes at most, else code `emsgsize`. Nothing is consumed then. */
export interface CollectOptions extends WaitOptions {
  /** Bytes, a delimiter included. Default: 65 536; for `receiveToEnd` the socket's `maxReceive`. */
  readonly max?: number | undefined;
}

/** The defaults, in bytes and milliseconds. */
interface Defaults {
  readonly timeout: number;
  readonly ipVersionPreference: IpVersionPreference;
  readonly happyEyeballs: boolean;
  readonly attemptDelay: number;
  readonly noDelay: boolean;
  readonly highWaterMark: number;
  readonly maxReceive: number;
  /** What `receiveUntil` and `receiveLine` collect at most. */
  readonly maxUntil: number;
  /** What `close` gives unsent bytes to leave. */
  readonly closeTimeout: number;
  /** How long a socket that was shut down waits for the peer's FIN. */
  readonly linger: number;
}

export const defaults: Defaults = {
  timeout: 1000,
  ipVersionPreference: "ipv6-preferred",
  happyEyeballs: false,
  attemptDelay: 250,
  noDelay: true,
  highWaterMark: 64 * 1024,
  maxReceive: 64 * 1024 * 1024,
  maxUntil: 64 * 1024,
  closeTimeout: 5000,
  linger: 1000,
};

/** setTimeout's own limit: 2^31 - 1 ms, almost 25 days. */
const MAX_TIMEOUT = 2 ** 31 - 1;

const preferences: readonly string[] = ["ipv4-only", "ipv4-preferred", "ipv6-only", "ipv6-preferred"];

type Check = (value: unknown, name: string) => void;

const boolean: Check = (value, name) => {
  if (typeof value !== "boolean") throw new UsageError(`${name} must be true or false, not ${show(value)}`);
};

const text: Check = (value, name) => {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw new UsageError(`${name} must be a non-empty string, not ${show(value)}`);
  }
};

const callback: Check = (value, name) => {
  if (typeof value !== "function") throw new UsageError(`${name} must be a function, not ${show(value)}`);
};

function integer(min: number, max: number): Check {
  return (value, name) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw new UsageError(`${name} must be an integer from ${min} to ${max}, not ${show(value)}`);
    }
  };
}

const signal: Check = (value, name) => {
  if (!(value instanceof AbortSignal)) throw new UsageError(`${name} must be an AbortSignal`);
};

const timeout: Check = (value, name) => {
  if (value === Number.POSITIVE_INFINITY) return;
  if (typeof value !== "number" || !(value >= 0 && value <= MAX_TIMEOUT)) {
    throw new UsageError(`${name} must be 0 to ${MAX_TIMEOUT} ms or Infinity, not ${show(value)}`);
  }
};

const pem: Check = (value, name) => {
  if ((typeof value !== "string" && !(value instanceof Uint8Array)) || value.length === 0) {
    throw new UsageError(`${name} must be PEM text or bytes`);
  }
};

const listOf = (check: Check): Check => {
  return (value, name) => {
    if (!Array.isArray(value) || value.length === 0)
      throw new UsageError(`${name} must be a non-empty array`);
    for (const element of value) check(element, name);
  };
};

const oneOf = (...allowed: readonly unknown[]): Check => {
  return (value, name) => {
    if (!allowed.includes(value)) {
      throw new UsageError(`${name} must be one of ${allowed.map(show).join(", ")}, not ${show(value)}`);
    }
  };
};

const tlsChecks: { readonly [Name in keyof Required<TlsOptions>]: Check } = {
  ca: (value, name) => (Array.isArray(value) ? listOf(pem)(value, name) : pem(value, name)),
  serverName: text,
  alpnProtocols: listOf(text),
  cert: pem,
  key: pem,
  passphrase: text,
  minVersion: oneOf("TLSv1.2", "TLSv1.3"),
  maxVersion: oneOf("TLSv1.2", "TLSv1.3"),
  dangerouslyDisableVerification: boolean,
};

const checks: { readonly [Name in keyof Required<ConnectOptions>]: Check } = {
  host: text,
  port: integer(1, 65_535),
  path: text,
  timeout,
  ipVersionPreference: oneOf(...preferences),
  happyEyeballs: boolean,
  attemptDelay: integer(10, 2000),
  localAddress: (value, name) => {
    if (typeof value !== "string" || isIP(value) === 0) {
      throw new UsageError(`${name} must be an IP address, not ${show(value)}`);
    }
  },
  localPort: integer(0, 65_535),
  lookup: callback,
  tls: (value, name) => (typeof value === "boolean" ? undefined : checkTls(value, name)),
  signal,
  noDelay: boolean,
  highWaterMark: integer(1, 2 ** 30),
  maxReceive: integer(1, 2 ** 31 - 1),
  tap: (value, name) => {
    if (typeof value !== "object" || value === null) throw new UsageError(`${name} must be an object`);
  },
};

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function checkEach(options: object, table: Readonly<Record<string, Check>>, prefix: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(table, name)) throw new UsageError(`there is no option ${prefix}${name}`);
    table[name]!(value, prefix + name);
  }
}

/** Checks TLS options by themselves and together. */
export function checkTls(options: unknown, name = "tls"): void {
  if (typeof options !== "object" || options === null) throw new UsageError(`${name} must be an object`);
  checkEach(options, tlsChecks, `${name}.`);
  const { cert, key, passphrase, minVersion, maxVersion } = options as TlsOptions;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError(`${name}.cert and ${name}.key come together`);
  }
  if (minVersion === "TLSv1.3" && maxVersion === "TLSv1.2") {
    throw new UsageError(`${name}.minVersion is above ${name}.maxVersion`);
  }
  if (passphrase !== undefined && key === undefined) {
    throw new UsageError(`${name}.passphrase means nothing without ${name}.key`);
  }
}

/** Checks each option by itself, so that a builder's method can refuse at once. */
export function checkOptions(options: ConnectOptions): void {
  if (typeof options !== "object" || options === null) throw new UsageError("options must be an object");
  checkEach(options, checks, "");
}

/** What only a host can have. */
const hostOptions = [
  ...(["host", "port", "localAddress", "localPort", "ipVersionPreference"] as const),
  ...(["happyEyeballs", "attemptDelay", "lookup", "noDelay"] as const),
];

/** Checks that the options together name something one can connect to. */
export function checkTarget(options: ConnectOptions): void {
  if (options.path !== undefined) {
    for (const name of hostOptions) {
      if (options[name] !== undefined) throw new UsageError(`${name} means nothing for a unix path`);
    }
    const { tls = false } = options;
    if (tls !== false) checkVerifiable(undefined, tls === true ? {} : tls);
    return;
  }
  if (options.host === undefined) throw new UsageError("a host or a path is needed");
  if (options.port === undefined) throw new UsageError("a port is needed");
  if (options.attemptDelay !== undefined && options.happyEyeballs !== true) {
    throw new UsageError("attemptDelay means nothing without happyEyeballs");
  }
  checkFamilies(options.host, options);
}

/** A path is no name a certificate could vouch for: without a host the name to verify must be given. */
export function checkVerifiable(host: string | undefined, tls: TlsOptions): void {
  if (host !== undefined || tls.serverName !== undefined || tls.dangerouslyDisableVerification === true)
    return;
  throw new UsageError("TLS needs tls.serverName, the name to verify, where there is no host");
}

/** An IP address and a preference for only the other family can never agree. */
function checkFamilies(host: string, options: ConnectOptions): void {
  const preference = options.ipVersionPreference ?? defaults.ipVersionPreference;
  for (const address of [host, options.localAddress ?? ""]) {
    const version = isIP(address);
    const impossible = version === 4 ? "ipv6-only" : version === 6 ? "ipv4-only" : undefined;
    if (impossible === preference) throw new UsageError(`${address} cannot be reached with ${preference}`);
  }
}

/** Checks what a waiting call was given. */
export function checkWait(options: WaitOptions): void {
  if (typeof options !== "object" || options === null) throw new UsageError("options must be an object");
  if (options.timeout !== undefined) timeout(options.timeout, "timeout");
  if (options.signal !== undefined) signal(options.signal, "signal");
}

/** Checks a number of bytes against the socket's limit. On the path of every receive, so it allocates nothing. */
export function checkSize(size: number, name: string, limit: number): void {
  if (Number.isInteger(size) && size >= 0 && size <= limit) return;
  throw new UsageError(`${name} must be an integer from 0 to ${limit}, not ${show(size)}`);
}
