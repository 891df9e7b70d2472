// Every code a socket can report, its sentence, and the mapping from Node's errors. The names are the POSIX names of
// socket and file errors in lower case, so a code in a log is the one in the manual page.

/** Code → sentence. The table is the type: a code that is not here does not exist. */
const descriptions = {
  // Mug's own.
  closed: "Connection closed",
  timeout: "Operation timed out",
  aborted: "Aborted by its AbortSignal",
  nxdomain: "Host name not found",
  tls: "TLS handshake or record failed",
  unknown: "Unknown error; see its cause",

  // POSIX, sockets.
  eaddrinuse: "Address already in use",
  eaddrnotavail: "Cannot assign requested address",
  eafnosupport: "Address family not supported",
  ealready: "Operation already in progress",
  econnaborted: "Software caused connection abort",
  econnrefused: "Connection refused",
  econnreset: "Connection reset by peer",
  edestaddrreq: "Destination address required",
  ehostdown: "Host is down",
  ehostunreach: "No route to host",
  einprogress: "Operation now in progress",
  eisconn: "Socket is already connected",
  emsgsize: "Message too long",
  enetdown: "Network is down",
  enetunreach: "Network is unreachable",
  enopkg: "Package not installed",
  enoprotoopt: "Protocol not available",
  enotconn: "Socket is not connected",
  enotty: "Inappropriate ioctl for device",
  enotsock: "Socket operation on something that is no socket",
  eproto: "Protocol error",
  eprotonosupport: "Protocol not supported",
  eprototype: "Protocol wrong type for socket",
  esocktnosupport: "Socket type not supported",
  etimedout: "Connection timed out",
  ewouldblock: "Operation would block",
  exbadport: "Bad port number",
  exbadseq: "Bad command sequence",

  // POSIX, files: unix sockets and descriptors can report these.
  eacces: "Permission denied",
  eagain: "Resource temporarily unavailable",
  ebadf: "Bad file descriptor",
  ebadmsg: "Bad message",
  ebusy: "Resource busy",
  edeadlk: "Resource deadlock avoided",
  edeadlock: "Resource deadlock avoided",
  edquot: "Disk quota exceeded",
  eexist: "File already exists",
  efault: "Bad address",
  efbig: "File too large",
  eftype: "Inappropriate file type or format",
  eintr: "Interrupted system call",
  einval: "Invalid argument",
  eio: "Input/output error",
  eisdir: "Illegal operation on a directory",
  eloop: "Too many levels of symbolic links",
  emfile: "Too many open files",
  emlink: "Too many links",
  emultihop: "Multihop attempted",
  enametoolong: "File name too long",
  enfile: "Too many open files in system",
  enobufs: "No buffer space available",
  enodev: "No such device",
  enolck: "No locks available",
  enolink: "Link has been severed",
  enoent: "No such file or directory",
  enomem: "Cannot allocate memory",
  enospc: "No space left on device",
  enosr: "Out of streams resources",
  enostr: "Device is not a stream",
  enosys: "Function not implemented",
  enotblk: "Block device required",
  enotdir: "Not a directory",
  enotsup: "Operation not supported",
  enxio: "No such device or address",
  eopnotsupp: "Operation not supported on socket",
  eoverflow: "Value too large for its type",
  eperm: "Operation not permitted",
  epipe: "Broken pipe",
  erange: "Result too large",
  erofs: "Read-only file system",
  espipe: "Illegal seek",
  esrch: "No such process",
  estale: "Stale file handle",
  etxtbsy: "Text file busy",
  exdev: "Cross-device link",
} as const;

/** Every code a {@link MugError} can carry. */
export type ErrorCode = keyof typeof descriptions;

/** All codes, for tables and exhaustive tests. */
export const errorCodes: readonly ErrorCode[] = Object.freeze(Object.keys(descriptions) as ErrorCode[]);

/** The sentence for a code, without a full stop: `describeError("econnrefused")` is `"Connection refused"`. */
export function describeError(code: ErrorCode): string {
  return descriptions[code];
}

/** Node's own codes. Those of getaddrinfo (`EAI_…`) all mean that the name has no address. */
const nodeCodes: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: "nxdomain",
  ENODATA: "nxdomain",
  EADDRFAMILY: "nxdomain",
  ABORT_ERR: "aborted",
  ECANCELED: "aborted",
  ERR_STREAM_WRITE_AFTER_END: "closed",
  ERR_STREAM_DESTROYED: "closed",
  ERR_STREAM_PREMATURE_CLOSE: "closed",
  ERR_STREAM_ALREADY_FINISHED: "closed",
  ERR_SOCKET_CLOSED: "closed",
  ERR_SOCKET_CLOSED_BEFORE_CONNECTION: "closed",
  EOF: "closed",
};

/** The code of an error raised by Node's `net`, `tls` or `dns`; `"unknown"` when there is none for it. */
export function codeOf(error: unknown): ErrorCode {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  if (typeof code !== "string") return "unknown";
  // A TLS socket reports a plain FIN during the handshake as ECONNRESET; a real reset names its system call.
  if (code === "ECONNRESET" && syscall === undefined) return "closed";
  const known = nodeCodes[code];
  if (known !== undefined) return known;
  if (code.startsWith("EAI_")) return "nxdomain";
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code.startsWith("ERR_OSSL_"))
    return "tls";
  const posix = code.toLowerCase();
  return Object.hasOwn(descriptions, posix) && posix !== code ? (posix as ErrorCode) : "unknown";
}
