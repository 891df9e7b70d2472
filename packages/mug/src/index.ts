/** mug: a TCP, TLS and unix socket client. Start at `new` or `connect`; everything else is on the socket. */

export {
  type ActiveState,
  type MessageSource,
  type SelectorLike,
  selectTcpMessages,
  type TcpMessage,
  type TcpMessages,
  tcpMessages,
} from "./active-mode.ts";
export type { Address } from "./address.ts";
export { ConnectionBuilder, create as new, unix } from "./builder.ts";
export { connect, fromNodeSocket } from "./connect.ts";
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
  IpVersionPreference,
  Lookup,
  TlsOptions,
  WaitOptions,
} from "./options.ts";
export { Socket } from "./socket.ts";
export type { Tap, TapEvent } from "./tap.ts";
export type { WebStreams } from "./web-streams.ts";
export type { Sendable } from "./writer.ts";
