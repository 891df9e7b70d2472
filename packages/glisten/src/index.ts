// A supervised TCP, TLS and unix-socket server: one actor per connection.
//
// In reading order: a server is described (`new`, `protocol`), runs (`Server`), and hands each connection to a
// handler or a protocol.

export { continue_ as continue, type LoopResult, type Next, stop, stopAbnormal } from "./actor/next.ts";
export {
  type ClusterInfo,
  type ClusterOptions,
  type ClusterPrimary,
  type ClusterWorker,
  cluster,
  type WorkerFigures,
} from "./cluster/cluster.ts";
export type { WorkerAddress } from "./cluster/messages.ts";
export type { ClusterMember } from "./cluster/worker.ts";
export {
  type Connection,
  type ConnectionInfo,
  type CreateProtocol,
  type Endpoint,
  getConnectionInfo,
  send,
} from "./connection/connection.ts";
export type { HandlerLoop, Init, Message, OnClose, OnShutdown } from "./connection/handler.ts";
export type { ConnectionState } from "./connection/live/phase.ts";
export type { CloseReason, Protocol } from "./connection/protocol.ts";
export {
  CertificateError,
  type CertificateErrorReason,
  DeadlineError,
  describeError,
  HandlerError,
  ProxyProtocolError,
  type ProxyProtocolErrorReason,
  type SocketReason,
  StartError,
  type StartErrorDetails,
  type StartErrorReason,
  socketReasons,
  TransportError,
  UsageError,
} from "./errors.ts";
export type { CloseEvent, ErrorEvent, OpenEvent, RejectedEvent, Rejection } from "./events.ts";
export {
  type Builder,
  create as new,
  type HandlerBuilder,
  type ListenTarget,
  protocol,
  type ServerSpecification,
  type SupervisedOptions,
} from "./glisten.ts";
export { type ListenOptions, listen } from "./listen.ts";
export type { ListenPlace } from "./listen-place.ts";
export type { ActiveState, Overrides, ProxyProtocolOptions, ServerOptions } from "./options.ts";
export type {
  ErrorHandler,
  Server,
  ServerCounters,
  ServerInfo,
  ServerPlace,
  ServerTls,
  StopCount,
  StopOptions,
  StopReport,
} from "./server/server-interface.ts";
export {
  type BoundAddress,
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  type Ipv6Groups,
  ipAddressToString,
  ipv4,
  ipv6,
  parseIpAddress,
} from "./transport/address.ts";
export type { ConnectOptions, MemoryOptions, MemoryTarget } from "./transport/memory.ts";
export type { MemorySocket } from "./transport/memory-socket.ts";
export type { Sendable } from "./transport/sendable.ts";
export type {
  CertificateOptions,
  ClientVerification as ClientVerificationOptions,
  TlsOptions,
} from "./transport/tls.ts";
export type { DescriptorTarget, SystemdTarget, UnixTarget } from "./transport/transport.ts";
