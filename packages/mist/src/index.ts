// An HTTP/1.1, WebSocket and Server-Sent Events server on glisten. A handler takes a
// `Request` and returns a `Response`; `new` and `serve` make a server of it.

export {
  CertificateError,
  type CertificateErrorReason,
  type CertificateOptions,
  type ClientVerificationOptions,
  type CloseReason,
  type ClusterInfo,
  type ClusterOptions,
  type ClusterPrimary,
  type ClusterWorker,
  type ConnectionInfo,
  type ConnectOptions,
  continue,
  type IpAddress,
  ipAddressToString,
  type ListenPlace,
  type MemorySocket,
  type Overrides,
  type ProxyProtocolOptions,
  type ServerTls,
  StartError,
  type StopCount,
  type StopOptions,
  type SupervisedOptions,
  stop,
  stopAbnormal,
  type TlsOptions,
  TransportError,
} from "@x/glisten";
export {
  type ExitReason,
  type MailboxLimits,
  type Next,
  type OverflowPolicy,
  type Receiver,
  type Selector,
  type Source,
  type Subject,
  type Supervisor,
  selector,
  subject,
} from "@x/glisten/actor";
export type { FetchedResponse } from "./client/answer.ts";
export type { WebSocketClientOptions } from "./client/client.ts";
export type { FetchInit } from "./client/outgoing.ts";
export type { WebSocketClient } from "./client/websocket-client.ts";
export { cluster } from "./cluster.ts";
export {
  BodyError,
  type BodyErrorReason,
  DeadlineError,
  FileError,
  type FileErrorReason,
  LimitError,
  type LimitErrorOptions,
  ProtocolError,
  type ProtocolErrorOptions,
  RequestTimeoutError,
  UsageError,
} from "./errors.ts";
export { type ContentOptions, html, json, redirect, text } from "./http/common-responses.ts";
export {
  type ConditionalRequest,
  evaluatePreconditions,
  type PreconditionResult,
  type Validators,
} from "./http/conditional.ts";
export type { ContentCoding } from "./http/content-negotiation.ts";
export type { Field, Fields, FieldsOption } from "./http/fields.ts";
export type { ForwardedHeaders } from "./http/forwarded.ts";
export { HttpError, type HttpErrorOptions } from "./http/http-error.ts";
export type { Request, RequestBody } from "./http/request.ts";
export type * from "./http/request-context.ts";
export {
  type EmptyBody,
  type Response,
  type ResponseOptions,
  response,
  type Trailers,
} from "./http/response.ts";
export type { CookieOptions } from "./http/set-cookie.ts";
export type { Http1Limits } from "./http1/limits.ts";
export type { Http2Limits } from "./http2/limits.ts";
export {
  type AfterStart,
  type Builder,
  create as new,
  type ListenTarget,
  type ReadRequestBodyOptions,
  type ServerSpecification,
} from "./mist.ts";
export { type Deadlines, defaultDeadlines, defaultLimits, type Http2Sizes, type Limits } from "./options.ts";
export type { Undelivered } from "./relay/outbox.ts";
export type { Relay, RelaySink } from "./relay/relay.ts";
export type { Server, ServerAddress, ServerInfo, StopReport } from "./running-server.ts";
export { type ServeOptions, type ServerOptions, serve } from "./serve.ts";
export type { BodySource } from "./server/body/body-source.ts";
export type { Chunks } from "./server/body/chunk-reader.ts";
export {
  type ActorBody,
  type ActorBodyWriter,
  type BytesBody,
  bytes,
  type IterableBody,
  type ResponseBody,
  type ServerResponse,
  type SourceBody,
  type UpgradeBody,
  type UpgradeHost,
} from "./server/body/response-body.ts";
export type { ResponseStream } from "./server/body/response-stream.ts";
export { type CompressOptions, compress } from "./server/compression/compress.ts";
export type { ServerEventMap } from "./server/events.ts";
export type { ByteStream } from "./server/exchange/byte-stream.ts";
export type { ForwardedOptions } from "./server/exchange/forwarded.ts";
export {
  type BodyPart,
  type BodyReader,
  type ReadBodyOptions,
  readBody,
  stream,
} from "./server/exchange/request-body.ts";
export type { RequestIdOptions } from "./server/exchange/request-id.ts";
export { getConnectionInfo, sendInformational, waitUntil } from "./server/exchange/request-services.ts";
export type { ErrorReport, FailureHandler, Handler } from "./server/exchange/service.ts";
export type {
  RequestEndEvent,
  RequestErrorEvent,
  RequestRefusedEvent,
  RequestStartEvent,
  RequestTrace,
} from "./server/exchange/telemetry.ts";
export { type DownloadOptions, download } from "./server/files/download.ts";
export { type SendFileOptions, sendFile } from "./server/files/file.ts";
export type { DotfilesPolicy } from "./server/files/file-path.ts";
export {
  type SiblingCoding,
  type StaticFile,
  type StaticFilesOptions,
  staticFiles,
} from "./server/files/static-files.ts";
export { type ChunkedOptions, type ChunkedStream, chunked } from "./server/streams/chunked-response.ts";
export {
  type EventStream,
  type ServerSentEventsOptions,
  serverSentEvents,
} from "./server/streams/event-stream.ts";
export type { StreamActor, StreamHandler } from "./server/streams/stream-actor.ts";
export type { SlowClientPolicy } from "./server/topics/member.ts";
export type { Content as TopicContent, FrameMaker, TopicMessage } from "./server/topics/message.ts";
export type { ReplayOptions, TopicsOptions, UnsentOptions } from "./server/topics/options.ts";
export type { TopicMember } from "./server/topics/outlet.ts";
export type { PresenceEvent } from "./server/topics/presence.ts";
export type {
  TopicsDroppedEvent,
  TopicsErrorEvent,
  TopicsState,
  TopicsStateEvent,
} from "./server/topics/telemetry.ts";
export {
  type Joined,
  type JoinOptions,
  type PublishOptions,
  type Replay,
  type Topics,
  topics,
} from "./server/topics/topics.ts";
export type { CompressionOptions, WebSocketTuning } from "./server/websocket/options.ts";
export { type PreparedFrame, prepareFrame } from "./server/websocket/prepared-frame.ts";
export type {
  WebSocketCloseEvent,
  WebSocketErrorEvent,
  WebSocketOpenEvent,
} from "./server/websocket/telemetry.ts";
export {
  type WebSocket,
  type WebSocketCloseReason,
  type WebSocketHandler,
  type WebSocketMessage,
  type WebSocketOptions,
  websocket,
} from "./server/websocket/websocket.ts";
export { type CorsOptions, cors } from "./server/wrappers/cors.ts";
export { type EtagOptions, etag } from "./server/wrappers/etag.ts";
export { event, type ServerSentEvent } from "./sse/event.ts";
export { test } from "./test.ts";
export type { CloseStatus } from "./websocket/close-code.ts";
