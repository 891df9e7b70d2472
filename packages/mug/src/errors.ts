// The errors of mug. A `MugError` is a failure of the network or the peer and carries a code; a `UsageError` is the
// caller's mistake and is thrown by the call itself, before anything is sent or awaited.

import { codeOf, describeError, type ErrorCode } from "./error-code.ts";

/** The peer or the network failed, or a deadline passed. `cause` is Node's error, if there was one. */
export class MugError extends Error {
  override readonly name: string = "MugError";
  /** Why, as one word; `describeError` gives the sentence. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = describeError(code), options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A timeout passed. Bytes that had arrived are not lost: the next receive returns them. */
export class DeadlineError extends MugError {
  override readonly name: string = "DeadlineError";
  /** What did not finish, for example `"receiveExact"` or `"connect"`. */
  readonly deadline: string;
  /** The timeout, in milliseconds. */
  readonly timeoutMs: number;

  constructor(deadline: string, timeoutMs: number) {
    super("timeout", `${deadline} did not finish within ${Math.round(timeoutMs)} ms`);
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
  /** Why it failed. */
  readonly error: MugError;
}

/** Which address families failed; `"unix"` for a path. */
export type FailedFamily = "ipv4" | "ipv6" | "both" | "unix";

/**
 * Connecting failed. `ipv4` and `ipv6` hold the cause for each family that was tried, `attempts` every address in
 * order. `code` and `cause` are those of the family tried last.
 */
export class ConnectError extends MugError {
  override readonly name: string = "ConnectError";
  /** Which families failed. */
  readonly family: FailedFamily;
  /** Why IPv4 failed; undefined when it was not tried. */
  readonly ipv4: MugError | undefined;
  /** Why IPv6 failed; undefined when it was not tried. */
  readonly ipv6: MugError | undefined;
  /** Every address that was tried, in order. */
  readonly attempts: readonly ConnectAttempt[];

  /** @internal */
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
  readonly attempts?: readonly ConnectAttempt[] | undefined;
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

/** The caller's mistake: a bad argument, or a call that cannot work now. Thrown by the call, never a rejection. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** A MugError for anything Node raised; MugErrors pass through. */
export function toMugError(error: unknown, context?: string): MugError {
  if (error instanceof MugError) return error;
  const code = codeOf(error);
  const detail = detailOf(error);
  const sentence =
    detail === "" ? describeError(code) : code === "unknown" ? detail : `${describeError(code)}: ${detail}`;
  return new MugError(code, context === undefined ? sentence : `${context}: ${sentence}`, { cause: error });
}

/** One line about an error. OpenSSL's own message is a trace with line numbers; its `reason` is the readable part. */
export function detailOf(error: unknown): string {
  const { message = String(error), reason } = (error ?? {}) as { message?: string; reason?: unknown };
  const openssl = /(^|\n)(?:[0-9A-F]+:)?error:/.test(message);
  if (openssl && typeof reason === "string" && reason !== "") return reason;
  // error:[code]:[library]:[function]:[reason]:[file]:[line]
  const trace = /error:[0-9A-F]+:[^:]*:[^:]*:([^:\n]+)/.exec(message);
  return trace?.[1] ?? message.split("\n", 1)[0]!.trim();
}

/** The same failure for another call, so that its stack shows that call. */
export function renewed(error: MugError, what: string): MugError {
  return new MugError(error.code, `${what}: ${error.message}`, { cause: error.cause ?? error });
}

/** The error of a call whose signal fired; `cause` is the signal's reason. */
export function abortedError(what: string, signal: AbortSignal): MugError {
  return new MugError("aborted", `${what} was aborted`, { cause: signal.reason });
}
