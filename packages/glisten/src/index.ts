// A supervised TCP, TLS and unix-socket server.
export { continue_ as continue, stop, stopAbnormal } from "./actor/next.ts";
export {
  type Connection,
  type ConnectionInfo,
  type Endpoint,
  getConnectionInfo,
  type Sendable,
  send,
} from "./connection.ts";
export { Builder, create as new, HandlerBuilder, protocol } from "./glisten.ts";
export type { Message } from "./handler.ts";
export type { CloseReason, CreateProtocol, Protocol } from "./protocol.ts";
export type { ErrorHandler, Server, StopReport } from "./server.ts";
