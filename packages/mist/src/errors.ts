// Every error mist throws or rejects with. The class says whose fault it is and who can be told:
//
// - `ProtocolError`  the peer's fault; the peer can be told (a status for HTTP, a close code for WebSocket)
// - `LimitError`     the peer asked for more than we allow; a ProtocolError with the limit's name
// - `RequestTimeoutError`  the client was too slow; a DeadlineError that names the option
// - `HttpError`      the handler's way to answer with a status of its own; stands in http/http-error.ts
// - `BodyError`      reading a request body failed; uncaught, it becomes the status it carries
// - `FileError`      a file could not be served
// - `UsageError`     the caller's fault; thrown by the call
//
// This file is pure: the sans-IO cores import it. `UsageError` and `DeadlineError` are glisten's own classes, so that
// `instanceof` holds across the packages.

import { DeadlineError } from "@x/glisten/kit";

export { DeadlineError, UsageError } from "@x/glisten/kit";

/** What a `ProtocolError` says besides its message. */
export interface ProtocolErrorOptions {
  /** The clause that was broken, for example `"RFC 9112 §6.3"`. */
  readonly section: string;
  /** The HTTP status to answer with, where an HTTP answer is still possible. */
  readonly status?: number | undefined;
  /** The WebSocket close code to answer with (RFC 6455 §7.4). */
  readonly closeCode?: number | undefined;
  /** The message ended early; what was received of it is valid. */
  readonly incomplete?: boolean | undefined;
  /** The error behind this one. */
  readonly cause?: unknown;
}

/** The peer broke the protocol. The connection cannot go on; the peer can be told why. */
export class ProtocolError extends Error {
  override readonly name: string = "ProtocolError";
  /** The HTTP status the peer is told, where it can be told one. */
  readonly status: number | undefined;
  /** The WebSocket close code the peer is told (RFC 6455 §7.4). */
  readonly closeCode: number | undefined;
  /** The clause that was broken, for example `"RFC 9112 §6.3"`. */
  readonly section: string;
  /** The message ended early; what was received of it is valid. */
  readonly incomplete: boolean;

  constructor(message: string, options: ProtocolErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.section = options.section;
    this.status = options.status;
    this.closeCode = options.closeCode;
    this.incomplete = options.incomplete === true;
  }
}

/** What a `LimitError` says besides its message. */
export interface LimitErrorOptions extends ProtocolErrorOptions {
  /** The option that set the limit, for example `"maxTarget"`. */
  readonly limit: string;
  /** The limit itself, in the option's unit (bytes or a count). */
  readonly max: number;
}

/** The peer asked for more than a limit allows. */
export class LimitError extends ProtocolError {
  override readonly name: string = "LimitError";
  /** The option that set the limit, for example `"maxTarget"`. */
  readonly limit: string;
  /** The limit itself: bytes or a count. */
  readonly max: number;

  constructor(message: string, options: LimitErrorOptions) {
    super(message, options);
    this.limit = options.limit;
    this.max = options.max;
  }
}

/** The client was too slow with its request. Left uncaught in a handler it is answered with `status`. */
export class RequestTimeoutError extends DeadlineError {
  override name = "RequestTimeoutError";
  /** 408 (RFC 9110 §15.5.9). */
  readonly status = 408;

  /** @param options its `message` replaces the one that names deadline and time. */
  constructor(
    deadline: string,
    timeoutMs?: number,
    options: ErrorOptions & { readonly message?: string | undefined } = {},
  ) {
    super(deadline, timeoutMs, options);
    if (options.message !== undefined) this.message = options.message;
  }
}

/**
 * Why a request body could not be read: it was longer than the reader allowed, or it was broken
 * (bad coding, or the peer went away in the middle of it).
 */
export type BodyErrorReason = "excess-body" | "malformed-body";

/** A request body could not be read. Left uncaught in a handler it is answered with `status`. */
export class BodyError extends Error {
  override readonly name: string = "BodyError";
  /** Too long, or broken. */
  readonly reason: BodyErrorReason;
  /** 413 for `excess-body`, 400 for `malformed-body` unless its cause says otherwise (431: too many trailers). */
  readonly status: number;

  constructor(reason: BodyErrorReason, message?: string, cause?: unknown) {
    super(message ?? bodyErrorMessages[reason], cause === undefined ? undefined : { cause });
    this.reason = reason;
    const told = cause instanceof ProtocolError ? cause.status : undefined;
    this.status = reason === "excess-body" ? 413 : (told ?? 400);
  }
}

const bodyErrorMessages: Readonly<Record<BodyErrorReason, string>> = {
  "excess-body": "the request body is longer than allowed",
  "malformed-body": "the request body is malformed or incomplete",
};

/** Why a file could not be served. */
export type FileErrorReason = "is-dir" | "no-access" | "no-entry" | "unknown";

/**
 * A file could not be served; `cause` is the system's error where there was one. Left uncaught in a handler it is
 * answered with `status`.
 */
export class FileError extends Error {
  override readonly name: string = "FileError";
  /** What stood in the way. */
  readonly reason: FileErrorReason;
  /** The path as it was given, or as it was resolved below the root. */
  readonly path: string;
  /** 404 for `no-entry` and `is-dir`, 403 for `no-access`, 500 for `unknown`. */
  readonly status: number;

  constructor(reason: FileErrorReason, path: string, cause?: unknown) {
    super(`${fileErrorMessages[reason]}: ${path}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.path = path;
    this.status = fileErrorStatuses[reason];
  }
}

const fileErrorStatuses: Readonly<Record<FileErrorReason, number>> = {
  "is-dir": 404,
  "no-access": 403,
  "no-entry": 404,
  unknown: 500,
};

const fileErrorMessages: Readonly<Record<FileErrorReason, string>> = {
  "is-dir": "the path is a directory",
  "no-access": "access to the file is denied",
  "no-entry": "there is no such file",
  unknown: "the file cannot be read",
};
