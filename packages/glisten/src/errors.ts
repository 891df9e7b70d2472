/**
 * Every error glisten throws, and the one list of socket reasons they share.
 *
 * Owns: which kind of failure is whose fault, the sentence that tells it, and how an error of Node's becomes a
 * reason of ours. Refuses: knowing any socket. A class answers "whose fault, and who hears of it":
 * `TransportError` the peer's or the network's, `UsageError` our caller's, `HandlerError` the user's handler's,
 * `StartError` and `CertificateError` the machine's or the configuration's.
 */

/** One sentence part per reason; the keys are the union. */
const DESCRIPTIONS = {
  closed: "the connection is closed",
  timeout: "the operation did not finish in time",
  badarg: "an argument is not valid for this socket",
  terminated: "the owner of the socket was terminated",
  nxdomain: "the host name does not exist",

  // inet posix codes
  eaddrinuse: "the address is already in use",
  eaddrnotavail: "the address is not available on this machine",
  eafnosupport: "the address family is not supported",
  ealready: "an operation is already in progress on this socket",
  econnaborted: "the connection was aborted",
  econnrefused: "the connection was refused",
  econnreset: "the connection was reset by the peer",
  edestaddrreq: "a destination address is required",
  ehostdown: "the host is down",
  ehostunreach: "there is no route to the host",
  einprogress: "the operation is now in progress",
  eisconn: "the socket is already connected",
  emsgsize: "the message is too long",
  enetdown: "the network is down",
  enetunreach: "the network is unreachable",
  enopkg: "the package is not installed",
  enoprotoopt: "the protocol option is not available",
  enotconn: "the socket is not connected",
  enotty: "the control operation does not fit the device",
  enotsock: "the descriptor is not a socket",
  eproto: "a protocol error occurred",
  eprotonosupport: "the protocol is not supported",
  eprototype: "the protocol does not fit the socket type",
  esocktnosupport: "the socket type is not supported",
  etimedout: "the connection timed out",
  ewouldblock: "the operation would block",
  exbadport: "the port number is bad",
  exbadseq: "the sequence number is bad",

  // file posix codes
  eacces: "permission is denied",
  eagain: "the resource is temporarily unavailable",
  ebadf: "the file descriptor is bad",
  ebadmsg: "the message is bad",
  ebusy: "the file is busy",
  edeadlk: "a deadlock was avoided",
  edeadlock: "a deadlock was avoided",
  edquot: "the disk quota is exceeded",
  eexist: "the file already exists",
  efault: "an address in an argument is bad",
  efbig: "the file is too large",
  eftype: "the file type is not right",
  eintr: "the system call was interrupted",
  einval: "an argument is invalid",
  eio: "an input or output error occurred",
  eisdir: "the path is a directory",
  eloop: "there are too many levels of symbolic links",
  emfile: "the process has too many open files",
  emlink: "there are too many links",
  emultihop: "a multihop was attempted",
  enametoolong: "the name is too long",
  enfile: "the system has too many open files",
  enobufs: "no buffer space is available",
  enodev: "there is no such device",
  enolck: "no locks are available",
  enolink: "the link has been severed",
  enoent: "there is no such file or directory",
  enomem: "there is not enough memory",
  enospc: "no space is left on the device",
  enosr: "there are no stream resources left",
  enostr: "the device is not a stream",
  enosys: "the function is not implemented",
  enotblk: "a block device is required",
  enotdir: "a part of the path is not a directory",
  enotsup: "the operation is not supported",
  enxio: "there is no such device or address",
  eopnotsupp: "the operation is not supported on this socket",
  eoverflow: "the value is too large",
  eperm: "the operation is not permitted",
  epipe: "the peer no longer reads",
  erange: "the result is too large",
  erofs: "the file system is read-only",
  espipe: "the seek is invalid",
  esrch: "there is no such process",
  estale: "the file handle is stale",
  etxtbsy: "the text file is busy",
  exdev: "the link crosses devices",
} as const;

/**
 * Why a socket operation failed: `"closed"`, `"timeout"`, `"badarg"`, `"terminated"`, `"nxdomain"`, or a posix
 * code in lower case (`"econnrefused"`, `"emfile"`, …). {@link describeError} puts any of them into words.
 */
export type SocketReason = keyof typeof DESCRIPTIONS;

/** All socket reasons, in the order they are documented. */
export const socketReasons: readonly SocketReason[] = Object.freeze(
  Object.keys(DESCRIPTIONS) as SocketReason[],
);

/**
 * A socket reason in words, without a capital or a full stop, fit to follow a colon.
 *
 * @example
 * describeError("eaddrinuse"); // "the address is already in use"
 */
export function describeError(reason: SocketReason): string {
  return DESCRIPTIONS[reason];
}

/** Node's own codes, and posix codes the originals have no name for, by the reason that says the same. */
const REASON_BY_NODE_CODE: ReadonlyMap<string, SocketReason> = new Map(
  Object.entries({
    ABORT_ERR: "terminated",
    ECANCELED: "closed",
    EOF: "closed",
    ENOTFOUND: "nxdomain",
    EAI_NODATA: "nxdomain",
    EAI_NONAME: "nxdomain",
    EAI_AGAIN: "eagain",
    EAI_MEMORY: "enomem",
    ESHUTDOWN: "closed",
    EHOSTDOWN: "ehostdown",
    ERR_INVALID_ARG_TYPE: "badarg",
    ERR_INVALID_ARG_VALUE: "badarg",
    ERR_OUT_OF_RANGE: "badarg",
    ERR_SOCKET_BAD_PORT: "exbadport",
    ERR_SERVER_NOT_RUNNING: "closed",
    ERR_SOCKET_CLOSED: "closed",
    ERR_SOCKET_CLOSED_BEFORE_CONNECTION: "closed",
    ERR_STREAM_ALREADY_FINISHED: "closed",
    ERR_STREAM_DESTROYED: "closed",
    ERR_STREAM_PREMATURE_CLOSE: "closed",
    ERR_STREAM_WRITE_AFTER_END: "closed",
    ERR_TLS_HANDSHAKE_TIMEOUT: "timeout",
  } as const),
);

/**
 * The reason behind an error of Node's, or anything else that was thrown. What has no posix code of its own
 * becomes `"eproto"` when TLS refused it and `"eio"` otherwise, so the answer is always one of the union.
 */
export function toSocketReason(error: unknown): SocketReason {
  if (error instanceof TransportError) return error.code;
  const code = codeOf(error);
  if (code === undefined) return "eio";
  const known = REASON_BY_NODE_CODE.get(code);
  if (known !== undefined) return known;
  const posix = code.toLowerCase();
  if (Object.hasOwn(DESCRIPTIONS, posix)) return posix as SocketReason;
  return code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") ? "eproto" : "eio";
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
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
    const within = timeoutMs === undefined ? "in time" : `within ${timeoutMs} ms`;
    super("timeout", `The ${deadline} did not finish ${within}.`, options);
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
  readonly message?: string;
  /** For `"system-error"`: what the operating system said. */
  readonly socketReason?: SocketReason;
  /** Where the server was to listen, for example `"127.0.0.1:80"` or a socket path. */
  readonly address?: string;
  /** The error behind this one. */
  readonly cause?: unknown;
}

const START_SENTENCES: Readonly<Record<StartErrorReason, string>> = {
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
  return `${START_SENTENCES[reason]}${where}${why}.`;
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
export type ProxyProtocolErrorReason = "malformed" | "too-large" | "untrusted" | "late";

/** The peer in front of us sent a bad PROXY header, none in time, or may not send one at all. */
export class ProxyProtocolError extends TransportError {
  override name = "ProxyProtocolError";
  /** What was wrong with the header. */
  readonly reason: ProxyProtocolErrorReason;

  constructor(reason: ProxyProtocolErrorReason, message: string) {
    super(reason === "late" ? "timeout" : "eproto", message);
    this.reason = reason;
  }
}
