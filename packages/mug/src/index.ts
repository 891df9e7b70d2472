// mug: a client for TCP, TLS and unix sockets. Start at `new` or `connect`; everything else is on the socket.

export type { ActiveState, MessageSource } from "./active-mode.ts";
export { ConnectionBuilder, create as new, unix } from "./builder.ts";
export { connect } from "./connect.ts";
export { describeError, type ErrorCode, errorCodes } from "./error-code.ts";
export {
  type ConnectAttempt,
  ConnectError,
  DeadlineError,
  type FailedFamily,
  MugError,
  UsageError,
} from "./errors.ts";
export type {
  CollectOptions,
  ConnectOptions,
  HostOptions,
  IpVersionPreference,
  Lookup,
  SocketOptions,
  TlsOptions,
  WaitOptions,
} from "./options.ts";
export { over } from "./over.ts";
export { Socket, type TcpMessage } from "./socket.ts";
export type { Address } from "./stream.ts";
export type { Tap, TapEvent } from "./tap.ts";
export { type SelectorLike, selectTcpMessages, type TcpMessages, tcpMessages } from "./tcp-messages.ts";
export type { WebStreams } from "./web-streams.ts";
export type { Sendable } from "./writer.ts";
