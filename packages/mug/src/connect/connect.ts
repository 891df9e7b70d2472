// From options to a connected socket. By default the families go one after the other and each has the whole timeout;
// within a family the addresses are tried in the resolver's order. The race of RFC 8305 is in happy-eyeballs.ts.

import { Deadline } from "../deadline.ts";
import { abortedError, type ConnectAttempt, type MugError, toMugError, UsageError } from "../errors.ts";
import {
  type ConnectOptions,
  checkConnect,
  checkOption,
  checkTarget,
  defaults,
  type HostOptions,
} from "../options.ts";
import type { Socket } from "../socket/socket.ts";
import { readCredentials } from "../socket/tls.ts";
import { handled, rejected } from "../unhandled.ts";
import { type ConnectPlan, connectFailed, openPath, openTcp, secureIfAsked } from "./dial.ts";
import { raceFamilies } from "./happy-eyeballs.ts";
import { addressesOf, type Family, familiesToTry, familyName } from "./resolve.ts";

/**
 * Connects to a host, or to whatever the options say. Rejects with a {@link ConnectError}, or with code `aborted`;
 * bad options throw a {@link UsageError} from the call.
 *
 * @example
 * const socket = await mug.connect("localhost", { port: 4000, timeout: 500 });
 */
export function connect(host: string, options: HostOptions): Promise<Socket>;
/** The same with everything in one object: `{ host, port }`, or `{ path }` for a unix socket. */
export function connect(options: ConnectOptions): Promise<Socket>;
export function connect(target: string | ConnectOptions, options?: HostOptions): Promise<Socket> {
  const all = connectOptions(target, options);
  checkTarget(all);
  const { path, signal, tls = false } = all;
  const credentials = tls === false ? undefined : readCredentials(tls === true ? {} : tls);
  if (signal?.aborted) return rejected(abortedError("connect", signal));
  const plan: ConnectPlan = { ...all, credentials };
  return handled(path === undefined ? connectHost(plan) : connectPath(plan, path));
}

/** Both forms of the arguments as one checked object. */
export function connectOptions(
  target: string | ConnectOptions,
  options: Omit<ConnectOptions, "host" | "path"> | undefined,
): ConnectOptions {
  if (typeof target === "object" && target !== null) {
    if (options !== undefined) throw new UsageError("connect takes either a host and options, or one object");
    checkConnect(target);
    return target;
  }
  checkOption("host", target);
  checkConnect(options ?? {});
  if (options !== undefined && ("host" in options || "path" in options)) {
    throw new UsageError("the host was given twice: as the first argument and in the options");
  }
  return { ...options, host: target };
}

function deadlineOf(plan: ConnectPlan): Deadline {
  return new Deadline({ timeout: plan.timeout ?? defaults.timeout, signal: plan.signal });
}

async function connectHost(plan: ConnectPlan): Promise<Socket> {
  const families = familiesToTry(plan);
  if (plan.happyEyeballs === true) return raceFamilies(plan, families, deadlineOf(plan));
  const attempts: ConnectAttempt[] = [];
  const causes: { ipv4?: MugError; ipv6?: MugError } = {};
  let last: MugError | undefined;
  for (const family of families) {
    try {
      return await connectFamily(plan, family, attempts);
    } catch (error) {
      last = toMugError(error);
      if (last.code === "aborted") throw last;
      causes[familyName(family)] = last;
    }
  }
  throw connectFailed(plan, { ...causes, last, attempts });
}

async function connectFamily(plan: ConnectPlan, family: Family, attempts: ConnectAttempt[]): Promise<Socket> {
  const deadline = deadlineOf(plan);
  let last: MugError | undefined;
  for (const address of await deadline.limit("connect", addressesOf(plan, family))) {
    try {
      return await secureIfAsked(await openTcp(plan, { address, family }, deadline), plan, deadline);
    } catch (error) {
      last = toMugError(error);
      attempts.push({ address, family: familyName(family), error: last });
      if (last.code === "aborted" || last.code === "timeout") throw last;
    }
  }
  throw last!;
}

async function connectPath(plan: ConnectPlan, path: string): Promise<Socket> {
  const deadline = deadlineOf(plan);
  try {
    return await secureIfAsked(await openPath(path, deadline), plan, deadline);
  } catch (error) {
    const cause = toMugError(error);
    if (cause.code === "aborted") throw cause;
    throw connectFailed(plan, { unix: cause });
  }
}
