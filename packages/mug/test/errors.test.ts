import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { codeOf } from "../src/error-code.ts";
import { toMugError } from "../src/errors.ts";
import { describeError, errorCodes, MugError } from "../src/index.ts";

/** What the system knows and the vocabulary does not have. */
const withoutCode = new Set([
  ...["E2BIG", "ECHILD", "EDOM", "EIDRM", "EILSEQ", "ENETRESET", "ENOEXEC", "ENOMSG", "ENOTEMPTY", "ETIME"],
]);

describe("every errno of this system has its code", () => {
  const names = Object.keys(constants.errno).filter((name) => !name.startsWith("WSA"));
  test.each(names)("%s", (name) => {
    const error = Object.assign(new Error(`connect ${name}`), { code: name, syscall: "connect" });
    const special: Record<string, string> = { ENODATA: "nxdomain", ECANCELED: "aborted" };
    const expected = withoutCode.has(name) ? "unknown" : (special[name] ?? name.toLowerCase());
    expect(codeOf(error)).toBe(expected);
  });
});

test.each([
  ["ENOTFOUND", "nxdomain"],
  ["EAI_AGAIN", "nxdomain"],
  ["EAI_FAIL", "nxdomain"],
  ["EAI_NONAME", "nxdomain"],
  ["ENODATA", "nxdomain"],
  ["ABORT_ERR", "aborted"],
  ["ECANCELED", "aborted"],
  ["ERR_STREAM_WRITE_AFTER_END", "closed"],
  ["ERR_STREAM_DESTROYED", "closed"],
  ["ERR_SOCKET_CLOSED", "closed"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "tls"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "tls"],
  ["SOMETHING_ELSE", "unknown"],
  ["closed", "unknown"],
  [undefined, "unknown"],
])("Node's %s is %s", (code, expected) => {
  expect(codeOf(Object.assign(new Error("x"), { code }))).toBe(expected);
});

test("a reset without a system call is TLS's word for a plain FIN", () => {
  expect(codeOf({ code: "ECONNRESET" })).toBe("closed");
  expect(codeOf({ code: "ECONNRESET", syscall: "read" })).toBe("econnreset");
});

test("the original's whole vocabulary is there, each with its sentence", () => {
  const originals =
    "closed timeout eaddrinuse eaddrnotavail eafnosupport ealready econnaborted econnrefused econnreset " +
    "edestaddrreq ehostdown ehostunreach einprogress eisconn emsgsize enetdown enetunreach enopkg enoprotoopt " +
    "enotconn enotty enotsock eproto eprotonosupport eprototype esocktnosupport etimedout ewouldblock exbadport " +
    "exbadseq nxdomain eacces eagain ebadf ebadmsg ebusy edeadlk edeadlock edquot eexist efault efbig eftype eintr " +
    "einval eio eisdir eloop emfile emlink emultihop enametoolong enfile enobufs enodev enolck enolink enoent " +
    "enomem enospc enosr enostr enosys enotblk enotdir enotsup enxio eopnotsupp eoverflow eperm epipe erange erofs " +
    "espipe esrch estale etxtbsy exdev";
  expect(errorCodes).toEqual(expect.arrayContaining(originals.split(" ")));
  for (const code of errorCodes) expect(describeError(code)).toMatch(/^[A-Z].*[^.]$/);
  expect(describeError("econnrefused")).toBe("Connection refused");
});

test("Node's error stays reachable as the cause", () => {
  const original = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });
  const error = toMugError(original);
  expect(error).toBeInstanceOf(MugError);
  expect(error).toMatchObject({ name: "MugError", code: "econnreset", cause: original });
  expect(error.message).toBe("Connection reset by peer: read ECONNRESET");
  expect(toMugError(error)).toBe(error);
  expect(toMugError("odd")).toMatchObject({ code: "unknown" });
});
