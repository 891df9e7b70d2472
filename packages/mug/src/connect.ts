/**
 * From options to a connected socket: name resolution, the order of the families, TLS, one deadline for each.
 *
 * By default the families go one after the other and each has the whole timeout, as `ipVersionPreference`
 * says; within a family the addresses are tried in the resolver's order. The race of RFC 8305 is in
 * happy-eyeballs.ts.
 */

import { lookup as dnsLookup } from "node:dns/promises";
import { isIP, type Socket as NetSocket, connect as netConnect } from "node:net";
import { startTimeout } from "./deadline.ts";
import {
  abortedError,
  type ConnectAttempt,
  ConnectError,
  type ConnectFailure,
  DeadlineError,
  MugError,
  toMugError,
  UsageError,
} from "./errors.ts";
import { raceFamilies } from "./happy-eyeballs.ts";
import {
  type ConnectOptions,
  checkOptions,
  checkTarget,
  defaults,
  type IpVersionPreference,
} from "./options.ts";
import { Socket } from "./socket.ts";
import { type Credentials, readCredentials, secure } from "./tls.ts";

/** Connects. Rejects with a {@link ConnectError}, or code `aborted`; wrong options are thrown at once. */
export function connect(options: ConnectOptions): Promise<Socket> {
  checkOptions(options);
  checkTarget(options);
  const { tls = false } = options;
  const credentials = tls === false ? undefined : readCredentials(tls === true ? {} : tls);
  const plan: ConnectPlan = { ...options, credentials };
  if (options.signal?.aborted) return Promise.reject(abortedError("connect", options.signal));
  return options.path === undefined ? connectHost(plan) : connectPath(plan, options.path);
}

/** Checked options, with the certificates and keys of `tls` read. */
export interface ConnectPlan extends ConnectOptions {
  readonly credentials: Credentials | undefined;
}

/**
 * Wraps a connected Node socket, for example one that a server accepted. It must not be read by anybody else, and
 * is half-open from here on: the peer's FIN does not end our sending.
 */
export function fromNodeSocket(
  stream: NetSocket,
  options: Pick<ConnectOptions, "highWaterMark" | "maxReceive" | "tap"> = {},
): Socket {
  checkOptions(options);
  if (stream.connecting || stream.destroyed) throw new UsageError("the socket is not connected");
  stream.allowHalfOpen = true;
  return new Socket(stream, stream, settingsOf(options));
}

// ---- deadlines

/** How long one family (or the whole race) may take. */
export class Deadline {
  readonly signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #at: number;

  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs;
    this.#at = performance.now() + timeoutMs;
    this.signal = signal;
  }

  get left(): number {
    return Math.max(0, this.#at - performance.now());
  }

  /** The promise, or the deadline's or the signal's error should they come first. */
  limit<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = this.onExpiry((error) => reject(error));
      promise.finally(stop).then(resolve, reject);
    });
  }

  /** Calls back once, when time is up or the signal fires; gives the way to call it off. */
  onExpiry(expired: (error: MugError) => void): () => void {
    const { signal } = this;
    const onAbort = (): void => end(abortedError("connect", signal!));
    const end = (error: MugError): void => {
      stop();
      expired(error);
    };
    const cancel = startTimeout(this.left, () => end(new DeadlineError("connect", this.#timeoutMs)));
    const stop = (): void => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    return stop;
  }
}

// ---- one host

/** One address to try. */
export interface Candidate {
  readonly address: string;
  readonly family: 4 | 6;
}

async function connectHost(options: ConnectPlan): Promise<Socket> {
  const families = familiesToTry(options);
  if (options.happyEyeballs === true) return raceFamilies(options, families);
  const attempts: ConnectAttempt[] = [];
  const causes: { ipv4?: MugError; ipv6?: MugError } = {};
  let last: MugError | undefined;
  for (const family of families) {
    try {
      return await connectFamily(options, family, attempts);
    } catch (error) {
      last = toMugError(error);
      if (last.code === "aborted") throw last;
      causes[familyName(family)] = last;
    }
  }
  throw connectFailed(options, { ...causes, last, attempts });
}

/** An IP address, ours or the peer's, leaves only its own family. */
function familiesToTry(options: ConnectOptions): readonly (4 | 6)[] {
  const version = isIP(options.host!) || isIP(options.localAddress ?? "");
  if (version !== 0) return [version as 4 | 6];
  return familiesByPreference[options.ipVersionPreference ?? defaults.ipVersionPreference];
}

const familiesByPreference: Readonly<Record<IpVersionPreference, readonly (4 | 6)[]>> = {
  "ipv4-only": [4],
  "ipv4-preferred": [4, 6],
  "ipv6-only": [6],
  "ipv6-preferred": [6, 4],
};

async function connectFamily(
  options: ConnectPlan,
  family: 4 | 6,
  attempts: ConnectAttempt[],
): Promise<Socket> {
  const deadline = new Deadline(options.timeout ?? defaults.timeout, options.signal);
  const addresses = await deadline.limit(addressesOf(options, family));
  let last = new MugError("nxdomain", `${options.host} has no ${familyName(family)} address`);
  for (const address of addresses) {
    try {
      const raw = await openTcp(options, { address, family }, deadline);
      return await secureIfAsked(raw, options, deadline);
    } catch (error) {
      last = toMugError(error);
      attempts.push({ address, family: familyName(family), error: last });
      if (last.code === "aborted" || last.code === "timeout") throw last;
    }
  }
  throw last;
}

/** The host's addresses of one family; code `nxdomain` when it has none. */
export async function addressesOf(options: ConnectOptions, family: 4 | 6): Promise<readonly string[]> {
  const host = options.host!;
  const version = isIP(host);
  if (version !== 0) return version === family ? [host] : [];
  try {
    if (options.lookup !== undefined) return checkAddresses(await options.lookup(host, family), family);
    const found = await dnsLookup(host, { family: isLocalhost(host) ? 0 : family, all: true });
    return found.filter((each) => each.family === family).map(({ address }) => address);
  } catch (error) {
    if (error instanceof MugError || error instanceof UsageError) throw error;
    throw new MugError("nxdomain", `${host} was not found`, { cause: error });
  }
}

/**
 * This machine, which no name server is to be asked for (RFC 6761 §6.3). Asked for both families, the system finds it
 * in its own table; asked for one that is not in there, it would go on to the network.
 */
function isLocalhost(host: string): boolean {
  return host.toLowerCase() === "localhost";
}

/** A name among the addresses would be resolved again, past the resolver that the caller wanted. */
function checkAddresses(addresses: readonly string[], family: 4 | 6): readonly string[] {
  for (const address of addresses) {
    if (isIP(address) === family) continue;
    throw new UsageError(`lookup gave ${address}, which is no ${familyName(family)} address`);
  }
  return addresses;
}

/** TCP to one address. */
export function openTcp(
  options: ConnectOptions,
  candidate: Candidate,
  deadline: Deadline,
): Promise<NetSocket> {
  return open(
    () =>
      netConnect({
        host: candidate.address,
        port: options.port!,
        family: candidate.family,
        allowHalfOpen: true,
        autoSelectFamily: false,
        noDelay: options.noDelay ?? defaults.noDelay,
        ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
        ...(options.localPort ? { localPort: options.localPort } : {}),
      }),
    deadline,
  );
}

function open(start: () => NetSocket, deadline: Deadline): Promise<NetSocket> {
  return new Promise((resolve, reject) => {
    const stream = start();
    const fail = (error: unknown): void => {
      stop();
      stream.removeAllListeners();
      stream.on("error", () => {});
      stream.destroy();
      reject(toMugError(error));
    };
    const stop = deadline.onExpiry(fail);
    stream.once("error", fail);
    stream.once("connect", () => {
      stop();
      // Until its next owner listens there must be somebody: an unheard error ends the process.
      stream.on("error", () => {});
      stream.removeListener("error", fail);
      resolve(stream);
    });
  });
}

/** The finished socket over a connected stream: with TLS first, if it was asked for. */
export async function secureIfAsked(
  raw: NetSocket,
  options: ConnectPlan,
  deadline: Deadline,
): Promise<Socket> {
  const settings = settingsOf(options);
  if (options.credentials === undefined) return new Socket(raw, raw, settings);
  const wait = { timeout: deadline.left, signal: deadline.signal };
  const stream = await secure(raw, options.host, options.credentials, wait);
  return new Socket(raw, stream, settings);
}

// ---- one path

async function connectPath(options: ConnectPlan, path: string): Promise<Socket> {
  const deadline = new Deadline(options.timeout ?? defaults.timeout, options.signal);
  try {
    const raw = await open(() => netConnect({ path, allowHalfOpen: true }), deadline);
    return await secureIfAsked(raw, options, deadline);
  } catch (error) {
    const cause = toMugError(error);
    if (cause.code === "aborted") throw cause;
    throw connectFailed(options, { unix: cause });
  }
}

// ---- names

export function connectFailed(options: ConnectOptions, failure: ConnectFailure): ConnectError {
  return new ConnectError(targetName(options), failure);
}

export function familyName(family: 4 | 6): "ipv4" | "ipv6" {
  return family === 4 ? "ipv4" : "ipv6";
}

function targetName(options: ConnectOptions): string {
  if (options.path !== undefined) return options.path;
  return isIP(options.host!) === 6 ? `[${options.host}]:${options.port}` : `${options.host}:${options.port}`;
}

function settingsOf(options: ConnectOptions) {
  return {
    highWaterMark: options.highWaterMark ?? defaults.highWaterMark,
    maxReceive: options.maxReceive ?? defaults.maxReceive,
    host: options.host,
    path: options.path ?? "",
    tap: options.tap,
  };
}
