/**
 * The errors mug rejects with. `MugError` is the network's or the peer's doing and carries a code;
 * `UsageError` is the caller's and is thrown by the call itself, before anything is sent or awaited.
 */

import { codeOf, describeError, type ErrorCode } from "./error-code.ts";

/** Something failed on the way: the peer, the network, or a deadline. `cause` is Node's error if there was one. */
export class MugError extends Error {
  override readonly name: string = "MugError";
  /** Why, as one word; `describeError` puts it into a sentence. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = describeError(code), options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A `timeout` passed. Nothing that had arrived is lost: the next receive sees it. */
export class DeadlineError extends MugError {
  override readonly name: string = "DeadlineError";
  /** What was waited for, for example `"receiveExact"` or `"connect"`. */
  readonly deadline: string;
  /** How long it was waited for, in milliseconds. */
  readonly timeoutMs: number;

  constructor(deadline: string, timeoutMs: number) {
    super("timeout", `${deadline} was not done within ${timeoutMs} ms`);
    this.deadline = deadline;
    this.timeoutMs = timeoutMs;
  }
}

/** One address that was tried. */
export interface ConnectAttempt {
  /** The IP address. */
  readonly address: string;
  /** Its family. */
  readonly family: "ipv4" | "ipv6";
  /** What came of it. */
  readonly error: MugError;
}

/** Which families were tried in vain; `"unix"` for a path. */
export type FailedFamily = "ipv4" | "ipv6" | "both" | "unix";

/**
 * No connection came about. `ipv4` and `ipv6` hold the cause for each family that was tried, `attempts`
 * every single address in order. `code` and `cause` are those of the family tried last.
 */
export class ConnectError extends MugError {
  override readonly name: string = "ConnectError";
  /** Which families were tried in vain. */
  readonly family: FailedFamily;
  /** Why IPv4 failed; undefined if it was not tried. */
  readonly ipv4: MugError | undefined;
  /** Why IPv6 failed; undefined if it was not tried. */
  readonly ipv6: MugError | undefined;
  /** Every address that was tried, in order. */
  readonly attempts: readonly ConnectAttempt[];

  constructor(target: string, failure: ConnectFailure) {
    const causes = [failure.ipv6, failure.ipv4, failure.unix].filter((cause) => cause !== undefined);
    const last = failure.last ?? causes[causes.length - 1];
    super(last?.code ?? "unknown", connectMessage(target, failure), { cause: last });
    this.family = familyOf(failure);
    this.ipv4 = failure.ipv4;
    this.ipv6 = failure.ipv6;
    this.attempts = failure.attempts ?? [];
  }
}

/** What is known when connecting has failed; at least one of `ipv4`, `ipv6`, `unix` is set. */
export interface ConnectFailure {
  readonly ipv4?: MugError | undefined;
  readonly ipv6?: MugError | undefined;
  readonly unix?: MugError | undefined;
  /** The cause that came last, when both families failed. */
  readonly last?: MugError | undefined;
  readonly attempts?: readonly ConnectAttempt[];
}

function familyOf(failure: ConnectFailure): FailedFamily {
  if (failure.unix) return "unix";
  if (failure.ipv4 && failure.ipv6) return "both";
  return failure.ipv4 ? "ipv4" : "ipv6";
}

function connectMessage(target: string, failure: ConnectFailure): string {
  const parts: string[] = [];
  if (failure.ipv6) parts.push(`ipv6: ${failure.ipv6.message}`);
  if (failure.ipv4) parts.push(`ipv4: ${failure.ipv4.message}`);
  if (failure.unix) parts.push(failure.unix.message);
  return `could not connect to ${target} (${parts.join("; ")})`;
}

/** The caller's mistake: an argument no socket could honour, or a call that makes no sense now. Thrown, not rejected. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** A MugError for anything Node raised; MugErrors pass through. */
export function toMugError(error: unknown, context?: string): MugError {
  if (error instanceof MugError) return error;
  const code = codeOf(error);
  const detail = error instanceof Error ? error.message : String(error);
  const sentence = `${describeError(code)}${detail === "" ? "" : `: ${detail}`}`;
  return new MugError(code, context === undefined ? sentence : `${context}: ${sentence}`, { cause: error });
}

/** The error for a call whose signal fired; `cause` is the signal's reason. */
export function abortedError(what: string, signal: AbortSignal): MugError {
  return new MugError("aborted", `${what} was cancelled`, { cause: signal.reason });
}
