import { describe, expect, it } from "vitest";
import {
  DeadlineError,
  describeError,
  HandlerError,
  type SocketReason,
  StartError,
  socketReasons,
  TransportError,
  toSocketReason,
} from "../../src/errors.ts";

describe("socket reasons", () => {
  it("are complete: closed, timeout, badarg, terminated, and every inet and file posix code", () => {
    // inet:posix() and file:posix() of Erlang/OTP, which the originals list.
    const inet = `eaddrinuse eaddrnotavail eafnosupport ealready econnaborted econnrefused econnreset edestaddrreq
      ehostdown ehostunreach einprogress eisconn emsgsize enetdown enetunreach enopkg enoprotoopt enotconn enotty
      enotsock eproto eprotonosupport eprototype esocktnosupport etimedout ewouldblock exbadport exbadseq`;
    const file = `eacces eagain ebadf ebadmsg ebusy edeadlk edeadlock edquot eexist efault efbig eftype eintr einval
      eio eisdir eloop emfile emlink emultihop enametoolong enfile enobufs enodev enolck enolink enoent enomem
      enospc enosr enostr enosys enotblk enotdir enotsup enxio eopnotsupp eoverflow eperm epipe erange erofs espipe
      esrch estale etxtbsy exdev`;
    const all = `closed timeout badarg terminated nxdomain ${inet} ${file}`.split(/\s+/);
    expect([...socketReasons].sort()).toEqual(all.sort());
  });

  it.each(socketReasons)("%s is described in words", (reason) => {
    expect(describeError(reason)).toMatch(/^[a-z].*[a-z]$/);
  });

  const codes: readonly (readonly [unknown, SocketReason])[] = [
    [{ code: "ECONNREFUSED" }, "econnrefused"],
    [{ code: "EMFILE" }, "emfile"],
    [{ code: "ENOTFOUND" }, "nxdomain"],
    [{ code: "ERR_STREAM_DESTROYED" }, "closed"],
    [{ code: "ERR_STREAM_WRITE_AFTER_END" }, "closed"],
    [{ code: "ERR_SOCKET_BAD_PORT" }, "exbadport"],
    [{ code: "ERR_SSL_WRONG_VERSION_NUMBER" }, "eproto"],
    [{ code: "ERR_TLS_HANDSHAKE_TIMEOUT" }, "timeout"],
    [{ code: "ABORT_ERR" }, "terminated"],
    [{ code: "EWHATEVER" }, "eio"],
    [{ code: 7 }, "eio"],
    [new Error("no code"), "eio"],
    ["a string", "eio"],
    [undefined, "eio"],
    [{ code: "constructor" }, "eio"],
    [new TransportError("epipe"), "epipe"],
  ];
  it.each(codes)("%o becomes %s", (error, reason) => {
    expect(toSocketReason(error)).toBe(reason);
  });
});

describe("error classes", () => {
  it("keep what Node said as the cause, and wrap it once", () => {
    const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
    const error = TransportError.from(cause);
    expect(error).toMatchObject({ name: "TransportError", code: "econnreset", cause });
    expect(error.message).toBe("The connection was reset by the peer (econnreset).");
    expect(TransportError.from(error)).toBe(error);
  });

  it("a deadline is a transport error with code timeout and its name", () => {
    const error = new DeadlineError("accept", 50);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({
      name: "DeadlineError",
      code: "timeout",
      deadline: "accept",
      timeoutMs: 50,
    });
    expect(error.message).toBe("The accept deadline of 50 ms passed.");
    expect(new DeadlineError("stop").message).toBe("The stop deadline passed.");
  });

  it("a handler error names the handler, a start error says why in one sentence", () => {
    expect(new HandlerError("init", new Error("no database"))).toMatchObject({
      handler: "init",
      message: "The init handler failed: no database",
    });
    expect(
      new StartError("system-error", { socketReason: "eaddrinuse", address: "127.0.0.1:80" }).message,
    ).toBe(
      "The operating system refused to listen on 127.0.0.1:80: the address is already in use (eaddrinuse).",
    );
    expect(new StartError("acceptor-crashed").message).toBe(
      "An acceptor crashed while the server was starting.",
    );
  });
});
