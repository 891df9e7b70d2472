// Why a socket operation failed, as one word: the words, their sentences, and which of them an error of Node's means.

/** One sentence part per reason; the keys are the union. */
const descriptions = {
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
export type SocketReason = keyof typeof descriptions;

/** All socket reasons, in the order they are documented. */
export const socketReasons: readonly SocketReason[] = Object.freeze(
  Object.keys(descriptions) as SocketReason[],
);

/**
 * A socket reason in words, without a capital or a full stop, fit to follow a colon.
 *
 * @example
 * describeError("eaddrinuse"); // "the address is already in use"
 */
export function describeError(reason: SocketReason): string {
  return descriptions[reason];
}

/** Node's own codes, and posix codes the originals have no name for, by the reason that says the same. */
const reasonByNodeCode: ReadonlyMap<string, SocketReason> = new Map(
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

/** The reason behind an error of Node's; `"eproto"` for what only TLS knows, `"eio"` for what nothing here says. */
export function reasonOfNodeError(error: unknown): SocketReason {
  const code = codeOf(error);
  if (code === undefined) return "eio";
  const known = reasonByNodeCode.get(code);
  if (known !== undefined) return known;
  const posix = code.toLowerCase();
  if (Object.hasOwn(descriptions, posix)) return posix as SocketReason;
  return code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") ? "eproto" : "eio";
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
