// mug: a client for TCP, TLS and unix sockets. Start at `new` or `connect`; everything else is on the socket.

export { ConnectionBuilder, create as new, unix } from "./connect/builder.ts";
export { connect } from "./connect/connect.ts";
export { over } from "./connect/over.ts";
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
export type { ActiveState, MessageSource } from "./socket/active-mode.ts";
export { Socket, type TcpMessage } from "./socket/socket.ts";
export type { Address } from "./socket/stream.ts";
export type { Tap, TapEvent } from "./socket/tap.ts";
export {
  type SelectorLike,
  selectTcpMessages,
  type TcpMessages,
  tcpMessages,
} from "./socket/tcp-messages.ts";
export type { WebStreams } from "./socket/web-streams.ts";
export type { Sendable } from "./socket/writer.ts";
