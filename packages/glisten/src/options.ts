// Every option of a server, its default and its validation: one table. Builders only write into it.

import { isIP } from "node:net";
import { UsageError } from "./errors.ts";
import { checkNames, shown } from "./option-names.ts";
import { type Check, flag, integer, longestTimerMs } from "./option-values.ts";
import type { ErrorHandler } from "./server/server-interface.ts";
import { trustedPeers } from "./transport/proxy-protocol.ts";
import {
  type ClientVerification,
  checkClientVerification,
  checkTlsOptions,
  type TlsOptions,
} from "./transport/tls-options.ts";

/** How far packets are read ahead of a handler whose promise is open. */
export type ActiveState =
  /** Not at all: the socket is left unread (one chunk may already be on its way in). */
  | "once"
  /** Up to 1 MiB. */
  | "active"
  /** Up to this many chunks, at least 2. */
  | { readonly count: number };

/** What `"active"` reads ahead of a pending handler before backpressure reaches the peer. */
export const readAheadBytes: number = 1024 * 1024;

/** The PROXY protocol, versions 1 and 2, in front of TCP and TLS. */
export interface ProxyProtocolOptions {
  /**
   * The peers that may connect: IP addresses, subnets such as `"10.0.0.0/8"`, and `"unix"`. Every connection must begin
   * with a header; a peer that is not in the list, or whose header is malformed or late, is disconnected.
   */
  readonly trustedPeers: readonly string[];
  /** The longest version 2 header taken. Default: 4096. */
  readonly maxHeaderBytes?: number | undefined;
}

/** Some of these options; undefined stands for the default. */
export type Overrides<Options> = { readonly [Name in keyof Options]?: Options[Name] | undefined };

/** Every option of a server. */
export interface ServerOptions {
  /** Acceptors, which is also how many connections may be initialising at once. */
  readonly poolSize: number;
  /** Connections at once; one more is closed at once and counted. */
  readonly maxConnections: number;
  /** Accepted sockets that wait for an acceptor; one more is closed at once and counted. */
  readonly maxQueue: number;
  /** Connections the kernel holds for us before they are accepted. */
  readonly backlog: number;
  /** `"localhost"` or an IPv4 or IPv6 address. */
  readonly bind: string;
  /** Both families, where the interface is `"localhost"` or an unspecified address. */
  readonly ipv6: boolean;
  /** How far packets are read ahead of a handler whose promise is open. */
  readonly activeState: ActiveState;
  /** A TLS handshake, or a PROXY header, must be complete within this. */
  readonly handshakeTimeoutMs: number;
  /** An `init` must be done within this. */
  readonly initTimeoutMs: number;
  /** After `close`: how long to read and discard until the peer hangs up. */
  readonly lingerMs: number;
  /** After `close`: how long a peer may take nothing of what is left to send. */
  readonly stallMs: number;
  /** A peer that takes nothing of what waits for it is cut off after this; Infinity: never. */
  readonly sendMs: number;
  /** Bytes per second that a peer must take on average of what waits for it. */
  readonly minSendRate: number;
  /** How long `stop` waits for connections when it is not told. */
  readonly stopDeadlineMs: number;
  /** Bytes written and not taken by the kernel above which `send` waits. */
  readonly highWaterMark: number;
  /** Failures of listener or acceptors within `withinMs` that make the server give up. */
  readonly intensity: { readonly restarts: number; readonly withinMs: number };
  /** What TLS is offered with; undefined: no TLS. Checked when the server starts. */
  readonly tls: TlsOptions | undefined;
  /** Which client certificates are asked for; needs TLS. */
  readonly clientVerification: ClientVerification | undefined;
  /** Expects a PROXY header in front of everything else; undefined: none is expected. */
  readonly proxyProtocol: ProxyProtocolOptions | undefined;
  /** What a peer is sent that is turned away because there are too many connections. */
  readonly refusal: string | Uint8Array | undefined;
  /** Stops the server when aborted. */
  readonly signal: AbortSignal | undefined;
  /** Called once for every failure of user code. */
  readonly onError: ErrorHandler | undefined;
}

interface Row<Value> {
  readonly default: Value;
  /** Says what the value must be; undefined: it is valid. */
  readonly check: Check<Value>;
}

const milliseconds = integer(1, longestTimerMs);

function millisecondsOrInfinity(value: number): string | undefined {
  return value === Number.POSITIVE_INFINITY || milliseconds(value) === undefined
    ? undefined
    : `an integer from 1 to ${longestTimerMs}, or Infinity`;
}

function activeState(value: ActiveState): string | undefined {
  if (value === "once" || value === "active") return undefined;
  const valid = typeof value === "object" && value !== null && integer(2, 65_536)(value.count) === undefined;
  return valid ? undefined : '"once", "active" or { count: n } with n from 2 to 65536';
}

function networkInterface(value: string): string | undefined {
  return value === "localhost" || isIP(value) !== 0 ? undefined : '"localhost" or an IPv4 or IPv6 address';
}

function intensity(value: { readonly restarts: number; readonly withinMs: number }): string | undefined {
  const { restarts, withinMs } = value ?? {};
  if (integer(0, 1_000_000)(restarts) === undefined && milliseconds(withinMs) === undefined) return undefined;
  return "{ restarts, withinMs }: integers, 0 to 1000000 restarts within at least 1 ms";
}

function optionalFunction(value: unknown): string | undefined {
  return value === undefined || typeof value === "function" ? undefined : "a function";
}

/** A value whose own check throws a UsageError that says what is wrong in it. */
function optional<Value>(check: (value: Value) => void): (value: Value | undefined) => string | undefined {
  return (value) => {
    if (value === undefined) return undefined;
    check(value);
    return undefined;
  };
}

/** Names of {@link ProxyProtocolOptions}. */
export const proxyProtocolNames: readonly string[] = ["trustedPeers", "maxHeaderBytes"];

function proxyProtocol(value: ProxyProtocolOptions | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "object" || value === null || !Array.isArray(value.trustedPeers)) {
    return "an object with an array of trustedPeers";
  }
  checkNames("withProxyProtocol", value, proxyProtocolNames);
  // Throws a UsageError of its own, which names the entry.
  trustedPeers(value.trustedPeers);
  const { maxHeaderBytes } = value;
  if (maxHeaderBytes === undefined || integer(16, 65_551)(maxHeaderBytes) === undefined) return undefined;
  return "{ trustedPeers, maxHeaderBytes } with maxHeaderBytes an integer from 16 to 65551";
}

function optionalBytes(value: unknown): string | undefined {
  const fits = value === undefined || typeof value === "string" || value instanceof Uint8Array;
  return fits ? undefined : "text or bytes";
}

function optionalSignal(value: unknown): string | undefined {
  return value === undefined || value instanceof AbortSignal ? undefined : "an AbortSignal";
}

const table: { readonly [Name in keyof ServerOptions]: Row<ServerOptions[Name]> } = {
  poolSize: { default: 10, check: integer(1, 65_536) },
  maxConnections: { default: 16_384, check: integer(1, 16_777_216) },
  maxQueue: { default: 1024, check: integer(0, 1_048_576) },
  backlog: { default: 1024, check: integer(1, 65_535) },
  bind: { default: "localhost", check: networkInterface },
  ipv6: { default: false, check: flag },
  activeState: { default: "once", check: activeState },
  handshakeTimeoutMs: { default: 15_000, check: milliseconds },
  initTimeoutMs: { default: 10_000, check: milliseconds },
  lingerMs: { default: 2_000, check: milliseconds },
  // As `sendMs`: progress is seen in steps of 64 KiB and more, and a reader of 3 KB/s takes up to 42 seconds for one.
  stallMs: { default: 60_000, check: milliseconds },
  sendMs: { default: 90_000, check: millisecondsOrInfinity },
  minSendRate: { default: 240, check: integer(0, 1_073_741_824) },
  stopDeadlineMs: { default: 10_000, check: integer(0, longestTimerMs) },
  highWaterMark: { default: 65_536, check: integer(65_536, 1_073_741_824) },
  intensity: { default: { restarts: 3, withinMs: 5_000 }, check: intensity },
  tls: { default: undefined, check: optional(checkTlsOptions) },
  clientVerification: { default: undefined, check: optional(checkClientVerification) },
  proxyProtocol: { default: undefined, check: proxyProtocol },
  refusal: { default: undefined, check: optionalBytes },
  signal: { default: undefined, check: optionalSignal },
  onError: { default: undefined, check: optionalFunction },
};

/** The names of all options. */
export const optionNames: readonly string[] = Object.keys(table);

/** The default options. */
export const defaults: ServerOptions = Object.freeze(
  Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.default])),
) as unknown as ServerOptions;

/** The options with some replaced. Throws a UsageError that names the option and what it must be. */
export function withOptions(options: ServerOptions, patch: Partial<ServerOptions>): ServerOptions {
  for (const [name, value] of Object.entries(patch)) {
    const row = table[name as keyof ServerOptions] as Row<unknown>;
    const wanted = row.check(value);
    if (wanted !== undefined) throw new UsageError(`${name} must be ${wanted}, got ${shown(value)}`);
  }
  return { ...options, ...patch };
}
