// Options of passive sockets: one table of names, defaults and checks.
//
// Owns: what may be set, when, and to what. Refuses, with a UsageError: names it does not know, and what Node
// cannot set. Nothing is accepted and ignored.

import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { type Check, flag, integer, longestTimerMs } from "../option-values.ts";
import { type IpAddress, ipAddressToString } from "./address.ts";

/**
 * How bytes are received: `"passive"`, by calls of `receive`; or by the controlling process: `"once"`, one packet;
 * `"active"`, every packet; `{ count }`, that many.
 */
export type ActiveMode = "passive" | "once" | "active" | { readonly count: number };

/** What happens to unsent bytes on close. Node can set off, and on with 0 seconds: close resets (RST). */
export interface Linger {
  /** False: the system sends what is left after close. */
  readonly enabled: boolean;
  /** 0; Node cannot set another. */
  readonly seconds: number;
}

/** Options that can be set on a socket at any time. */
export interface SocketOptions {
  /** Sends small writes at once. TCP only. Default: true. */
  readonly nodelay?: boolean | undefined;
  /** Default: off. */
  readonly linger?: Linger | undefined;
  /** How long a `send` may take in milliseconds; Infinity for as long as it takes. Default: 30 000. */
  readonly sendTimeout?: number | undefined;
  /** Closes the socket when a `send` timed out. Default: true. */
  readonly sendTimeoutClose?: boolean | undefined;
  /** Default: `"passive"`. */
  readonly activeMode?: ActiveMode | undefined;
  /** The only mode. */
  readonly mode?: "binary" | undefined;
}

/** The interface to listen on: all, the loopback, one address, or a unix socket's path (`"@name"`: abstract). */
export type Interface = "any" | "loopback" | IpAddress | { readonly unixPath: string };

/** Options of a listening socket. Those of {@link SocketOptions} pass on to every socket it accepts. */
export interface TcpOptions extends SocketOptions {
  /** Connections the kernel, and then we, hold before `accept`. Default: 1024. */
  readonly backlog?: number | undefined;
  /** Lets the port be bound while old connections linger. Node always sets it: false is refused. */
  readonly reuseaddr?: boolean | undefined;
  /** Serves IPv6 as well. Default: false. */
  readonly ipv6?: boolean | undefined;
  /** Bytes read ahead of `receive`, at least the 65 536 that Node reads at once. Default: Node's. TCP only. */
  readonly buffer?: number | undefined;
  /** Default: `"any"`. */
  readonly ip?: Interface | undefined;
}

/** {@link SocketOptions} with every default filled in. */
export type SocketSettings = {
  readonly [Name in keyof SocketOptions]-?: Exclude<SocketOptions[Name], undefined>;
};

/** The defaults of a socket. */
export const socketDefaults: SocketSettings = Object.freeze({
  nodelay: true,
  linger: { enabled: false, seconds: 0 },
  sendTimeout: 30_000,
  sendTimeoutClose: true,
  activeMode: "passive",
  mode: "binary",
});

/** The default length of the queue in front of `accept`. */
export const defaultBacklog = 1024;

const socketChecks: { readonly [Name in keyof SocketSettings]: Check } = {
  nodelay: flag,
  linger: checkLinger,
  sendTimeout: (value) =>
    value === Number.POSITIVE_INFINITY ? undefined : integer(0, longestTimerMs)(value),
  sendTimeoutClose: flag,
  activeMode: checkActiveMode,
  mode: (value) => (value === "binary" ? undefined : '"binary": Node gives bytes'),
};

const listenChecks: { readonly [Name in Exclude<keyof TcpOptions, keyof SocketOptions>]-?: Check } = {
  backlog: integer(1, 65_535),
  reuseaddr: (value) => (value === true ? undefined : "true: Node always sets SO_REUSEADDR"),
  ipv6: flag,
  buffer: integer(65_536, 0x40000000),
  ip: checkInterface,
};

function checkLinger(value: unknown): string | undefined {
  const { enabled, seconds } = (value ?? {}) as Partial<Linger>;
  const isValid = typeof enabled === "boolean" && (seconds === 0 || !enabled);
  return isValid ? undefined : "off, or on with 0 seconds (close resets), which is all that Node can set";
}

function checkActiveMode(value: unknown): string | undefined {
  if (value === "passive" || value === "once" || value === "active") return undefined;
  const count = (value as { count?: unknown } | undefined)?.count;
  return integer(1, 32_767)(count) && '"passive", "once", "active" or { count } from 1 to 32767';
}

function checkInterface(value: unknown): string | undefined {
  if (value === "any" || value === "loopback") return undefined;
  const { type, unixPath } = (value ?? {}) as { type?: unknown; unixPath?: unknown };
  const isValid = type === "ipv4" || type === "ipv6" || typeof unixPath === "string";
  return isValid ? undefined : '"any", "loopback", an IpAddress or { unixPath }';
}

/**
 * Checks the options given to `listen`.
 *
 * @param alsoKnown names another layer (TLS) answers for.
 */
export function checkListenOptions(options: TcpOptions, alsoKnown: readonly string[] = []): void {
  const onUnix = unixPathOf(options) !== undefined;
  for (const [name, value] of given(options)) {
    if (alsoKnown.includes(name)) continue;
    requireKnown(name, value, { ...socketChecks, ...listenChecks });
    if (onUnix) refuseOnUnix(name);
  }
  requirePassive(options);
}

/** Checks the options given to `setOptions`, and gives the settings with them. */
export function withSocketOptions(
  settings: SocketSettings,
  options: SocketOptions,
  onUnix: boolean,
): SocketSettings {
  for (const [name, value] of given(options)) {
    if (Object.hasOwn(listenChecks, name)) {
      throw new UsageError(`${name} can be set by listen only`);
    }
    requireKnown(name, value, socketChecks);
    if (onUnix) refuseOnUnix(name);
  }
  return { ...settings, ...Object.fromEntries(given(options)) };
}

/** The part of the options every accepted socket begins with. */
export function socketSettingsOf(options: TcpOptions): SocketSettings {
  const own = given(options).filter(([name]) => Object.hasOwn(socketChecks, name));
  return { ...socketDefaults, ...Object.fromEntries(own) };
}

/** A socket begins without a controlling process, which its packets would go to. */
function requirePassive({ activeMode = "passive" }: TcpOptions): void {
  if (activeMode === "passive") return;
  throw new UsageError("a socket is accepted passive: set activeMode after controllingProcess(subject)");
}

function given(options: object): readonly (readonly [string, unknown])[] {
  return Object.entries(options).filter(([, value]) => value !== undefined);
}

function requireKnown(name: string, value: unknown, checks: Readonly<Record<string, Check>>): void {
  if (!Object.hasOwn(checks, name)) throw new UsageError(`there is no socket option ${shown(name)}`);
  const wanted = checks[name]!(value);
  if (wanted !== undefined) throw new UsageError(`${name} must be ${wanted}, got ${shown(value)}`);
}

function refuseOnUnix(name: string): void {
  if (name !== "nodelay" && name !== "reuseaddr" && name !== "ipv6") return;
  throw new UsageError(`${name} is an option of TCP, and this is a unix socket`);
}

/** The path when the options ask for a unix socket. */
export function unixPathOf({ ip }: TcpOptions): string | undefined {
  return typeof ip === "object" && "unixPath" in ip ? ip.unixPath : undefined;
}

/** The interface as `bind` understands it. */
export function interfaceOf({ ip = "any" }: TcpOptions): string {
  if (ip === "any") return "0.0.0.0";
  if (ip === "loopback" || "unixPath" in ip) return "localhost";
  return ipAddressToString(ip);
}
