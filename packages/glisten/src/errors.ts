// Every error glisten throws.
//
// A class says whose fault a failure is: `TransportError` the peer's or the network's, `UsageError` our caller's,
// `HandlerError` the user's handler's, `StartError` and `CertificateError` the machine's or the configuration's.

import { describeError, reasonOfNodeError, type SocketReason } from "./socket-reason.ts";

export { describeError, type SocketReason, socketReasons } from "./socket-reason.ts";

/**
 * The reason behind an error of Node's, or anything else that was thrown. What has no posix code of its own
 * becomes `"eproto"` when TLS refused it and `"eio"` otherwise, so the answer is always one of the union.
 */
export function toSocketReason(error: unknown): SocketReason {
  return error instanceof TransportError ? error.code : reasonOfNodeError(error);
}

/** The peer or the network failed. `code` is the {@link SocketReason}, `cause` the error below, if any. */
export class TransportError extends Error {
  override name = "TransportError";
  /** Why, as one word. */
  readonly code: SocketReason;

  constructor(code: SocketReason, message?: string, options?: ErrorOptions) {
    super(message ?? sentence(describeError(code), code), options);
    this.code = code;
  }

  /** Wraps an error of Node's; a TransportError stays itself. */
  static from(error: unknown): TransportError {
    if (error instanceof TransportError) return error;
    const code = toSocketReason(error);
    return new TransportError(code, undefined, { cause: error });
  }
}

function sentence(text: string, code: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)} (${code}).`;
}

/** A timeout passed. A {@link TransportError} whose `code` is `"timeout"`; `deadline` says which one it was. */
export class DeadlineError extends TransportError {
  override name = "DeadlineError";
  /** What was waited for, for example `"receive"`, `"accept"`, `"send"` or `"handshake"`. */
  readonly deadline: string;
  /** How long it was waited for, in milliseconds, where that is known. */
  readonly timeoutMs: number | undefined;

  constructor(deadline: string, timeoutMs?: number, options?: ErrorOptions) {
    const length = timeoutMs === undefined ? "" : ` of ${timeoutMs} ms`;
    super("timeout", `The ${deadline} deadline${length} passed.`, options);
    this.deadline = deadline;
    this.timeoutMs = timeoutMs;
  }
}

/** Our caller's mistake, thrown where it was made: an option out of range, a call that cannot work. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** A handler of the user's threw or rejected; `cause` is what it threw, `handler` the name of its role. */
export class HandlerError extends Error {
  override name = "HandlerError";
  /** Which handler failed, for example `"init"`, `"loop"` or `"close"`. */
  readonly handler: string;

  constructor(handler: string, cause: unknown) {
    super(`The ${handler} handler failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.handler = handler;
  }
}

/** Which part of a server could not be started. */
export type StartErrorReason =
  | "listener-closed"
  | "listener-timeout"
  | "acceptor-timeout"
  | "acceptor-failed"
  | "acceptor-crashed"
  | "system-error";

/** What a {@link StartError} knows besides its reason. */
export interface StartErrorDetails {
  /** The whole sentence; by default one is made from the reason. */
  readonly message?: string | undefined;
  /** For `"system-error"`: what the operating system said. */
  readonly socketReason?: SocketReason | undefined;
  /** Where the server was to listen, for example `"127.0.0.1:80"` or a socket path. */
  readonly address?: string | undefined;
  /** The error behind this one. */
  readonly cause?: unknown;
}

const startSentences: Readonly<Record<StartErrorReason, string>> = {
  "listener-closed": "The listening socket was closed while the server was starting",
  "listener-timeout": "The listening socket was not ready in time",
  "acceptor-timeout": "The acceptors were not ready in time",
  "acceptor-failed": "An acceptor could not be started",
  "acceptor-crashed": "An acceptor crashed while the server was starting",
  "system-error": "The operating system refused to listen",
};

/** The server could not start. The message is one sentence with the address in it. */
export class StartError extends Error {
  override name = "StartError";
  /** Which part could not be started. */
  readonly reason: StartErrorReason;
  /** For `"system-error"`: what the operating system said. */
  readonly socketReason: SocketReason | undefined;
  /** Where the server was to listen. */
  readonly address: string | undefined;

  constructor(reason: StartErrorReason, details: StartErrorDetails = {}) {
    super(details.message ?? startSentence(reason, details), causeOption(details.cause));
    this.reason = reason;
    this.socketReason = details.socketReason;
    this.address = details.address;
  }
}

function startSentence(reason: StartErrorReason, details: StartErrorDetails): string {
  const where = details.address === undefined ? "" : ` on ${details.address}`;
  const why =
    details.socketReason === undefined
      ? ""
      : `: ${describeError(details.socketReason)} (${details.socketReason})`;
  return `${startSentences[reason]}${where}${why}.`;
}

/** What is wrong with a certificate, its key, or the authorities clients are verified against. */
export type CertificateErrorReason =
  | "no-certificate"
  | "no-key"
  | "no-key-or-certificate"
  | "no-authority"
  | "invalid-certificate"
  | "invalid-key"
  | "invalid-authority"
  | "key-mismatch";

/**
 * TLS cannot be offered with what was given. The first three reasons are about what is missing or unreadable
 * (the message names the file), the others about what was read.
 */
export class CertificateError extends Error {
  override name = "CertificateError";
  /** What is missing, or does not fit. */
  readonly reason: CertificateErrorReason;

  constructor(reason: CertificateErrorReason, message: string, cause?: unknown) {
    super(message, causeOption(cause));
    this.reason = reason;
  }
}

function causeOption(cause: unknown): ErrorOptions | undefined {
  return cause === undefined ? undefined : { cause };
}

/** Why a PROXY protocol header was refused. */
export type ProxyProtocolErrorReason = "malformed" | "too-large" | "untrusted";

/** The peer in front of us sent a bad PROXY header, or may not send one at all. */
export class ProxyProtocolError extends TransportError {
  override name = "ProxyProtocolError";
  /** What was wrong with the header. */
  readonly reason: ProxyProtocolErrorReason;

  constructor(reason: ProxyProtocolErrorReason, message: string) {
    super("eproto", message);
    this.reason = reason;
  }
}

/** Hears of what fails and does nothing: for what is told in another way, or concerns nobody. */
export function ignore(): void {}
