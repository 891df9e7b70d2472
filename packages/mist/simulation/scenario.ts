// A scenario: everything that will happen in one run, as a plain value. A seed gives one; shrinking takes parts of it
// away; a regression is one of them in a file. Times are in milliseconds, sizes in bytes.

/** What happens in one run. */
export interface Scenario {
  readonly seed: number;
  readonly http?: HttpScenario | undefined;
  readonly tcp?: TcpScenario | undefined;
  readonly actors?: ActorScenario | undefined;
}

/** How the link between a client and the server behaves. */
export interface Network {
  /** For the sizes and delays of segments, and for nothing else. */
  readonly seed: number;
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** The largest segment towards the server. */
  readonly segmentBytes: number;
  /** The client takes this much at once, and again after `readEveryMs`; 0: all there is. */
  readonly readBytes: number;
  readonly readEveryMs: number;
  readonly fault?: Fault | undefined;
}

/** The link breaks once `atByte` bytes have gone that way. */
export interface Fault {
  readonly way: "up" | "down";
  readonly atByte: number;
  /** `vanish`: nothing goes either way any more, and nobody is told. */
  readonly how: "reset" | "vanish" | "destroy";
}

/** How a server ends. Every scenario ends with a stop. */
export interface Stop {
  readonly atMs: number;
  readonly how: "stop" | "kill" | "dispose";
  readonly delayMs: number;
  readonly deadlineMs: number;
  /** A second call. */
  readonly again?:
    | { readonly afterMs: number; readonly deadlineMs: number; readonly how: "stop" | "kill" }
    | undefined;
}

/** A part of the server's own tree that is ended from without. */
export interface Crash {
  readonly atMs: number;
  readonly child: "listener" | "acceptors";
  readonly how: "kill" | "stop";
}

export interface HttpScenario {
  readonly limits: Readonly<Record<string, number>>;
  readonly deadlines: Readonly<Record<string, number>>;
  readonly poolSize: number;
  readonly maxConnections: number;
  readonly refusal: boolean;
  readonly onFailure: boolean;
  readonly telemetry: boolean;
  readonly stop: Stop;
  readonly crashes: readonly Crash[];
  readonly clients: readonly HttpClient[];
}

export type HttpClient = PlainClient | WebSocketClient | Http2Client;

interface AnyClient {
  readonly id: number;
  readonly atMs: number;
  readonly network: Network;
}

/** A client that speaks HTTP/1. */
export interface PlainClient extends AnyClient {
  readonly kind: "http1";
  readonly steps: readonly PlainStep[];
}

export type PlainStep =
  | RequestStep
  | { readonly type: "pause"; readonly ms: number }
  /** Waits until all that was asked for is answered. */
  | { readonly type: "await" }
  /** Stops reading, and goes on `ms` later. */
  | { readonly type: "stall"; readonly ms: number }
  | { readonly type: "garbage"; readonly index: number }
  /** Waits until the server ends the connection. */
  | { readonly type: "stay" }
  | { readonly type: "end" }
  | { readonly type: "reset" };

/** One request, and what the handler does with it. */
export interface RequestStep {
  readonly type: "request";
  readonly id: number;
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS";
  readonly version: "1.0" | "1.1";
  readonly connection?: "close" | "keep-alive" | undefined;
  /** What the head is filled up to, or beyond, with a field that only takes room; undefined: no such field. */
  readonly headBytes?: number | undefined;
  /** What the target is filled up to with a query. */
  readonly targetBytes?: number | undefined;
  /** Field lines in all. */
  readonly fieldLines?: number | undefined;
  readonly emptyLines: number;
  readonly body?: RequestContent | undefined;
  readonly handler: HandlerPlan;
}

export interface RequestContent {
  readonly size: number;
  /** Sent in chunks of these sizes, over and over; undefined: with a content-length. */
  readonly chunks?: readonly number[] | undefined;
  readonly extension: boolean;
  readonly trailers: boolean;
  readonly expect: boolean;
  /** A pause behind that many bytes. */
  readonly pause?: { readonly atByte: number; readonly ms: number } | undefined;
  /** The client goes away, or hangs up, before the end of the content. */
  readonly cutAt?: number | undefined;
}

/** What a handler does. */
export interface HandlerPlan {
  /** Before it reads or answers: -1: in the same call, 0: after a promise, otherwise that much later. */
  readonly waitMs: number;
  readonly read: "nothing" | "all" | "stream" | "some" | "late";
  /** Of `all`: `maxBodyLimit`; of `stream` and `some`: the piece size. */
  readonly size: number;
  /** Between two pieces. */
  readonly pauseMs: number;
  readonly informational: boolean;
  readonly waitUntilMs?: number | undefined;
  readonly waitUntilFails?: boolean | undefined;
  readonly useSignal: boolean;
  readonly answer: Answer;
}

export type Answer =
  | {
      readonly type: "bytes";
      readonly size: number;
      readonly status: number;
      readonly close: boolean;
      readonly text: boolean;
    }
  | { readonly type: "empty"; readonly status: number }
  | {
      readonly type: "iterable" | "source" | "chunked";
      readonly pieces: readonly Piece[];
      readonly end: StreamEnd;
      readonly trailers: boolean;
      readonly sized: boolean;
    }
  | {
      readonly type: "events";
      readonly events: readonly Piece[];
      readonly keepAliveMs: number;
      readonly end: StreamEnd;
    }
  | { readonly type: "echo" }
  | { readonly type: "throw"; readonly status: number; readonly http: boolean }
  | { readonly type: "nothing" }
  | { readonly type: "never" };

/** A piece of a streamed body, and how long the producer takes before it. -1: in the same call. */
export interface Piece {
  readonly waitMs: number;
  readonly size: number;
}

/** How a producer ends behind its last piece. */
export type StreamEnd = "end" | "fail" | "never";

export interface WebSocketClient extends AnyClient {
  readonly kind: "websocket";
  readonly steps: readonly WebSocketStep[];
  /** Answers pings and Close frames. */
  readonly polite: boolean;
  readonly server: WebSocketPlan;
}

export type WebSocketStep =
  | {
      readonly type: "message";
      readonly id: number;
      readonly text: boolean;
      readonly size: number;
      readonly frames: number;
      readonly ping: boolean;
    }
  | { readonly type: "ping"; readonly size: number }
  | { readonly type: "pause"; readonly ms: number }
  | { readonly type: "stall"; readonly ms: number }
  | { readonly type: "close"; readonly code: number | undefined }
  | { readonly type: "bad"; readonly how: BadFrame }
  /** Waits until every message is answered. */
  | { readonly type: "await" }
  | { readonly type: "stay" }
  | { readonly type: "end" }
  | { readonly type: "reset" };

export type BadFrame =
  | "unmasked"
  | "reserved-bit"
  | "reserved-opcode"
  | "fragmented-ping"
  | "long-ping"
  | "continuation-first"
  | "text-within-message"
  | "not-utf8"
  | "close-one-byte"
  | "close-bad-code";

/** What the handler of a WebSocket does. */
export interface WebSocketPlan {
  readonly initMs: number;
  readonly initFails: boolean;
  /** Before each answer: -1 in the same call, 0 after a promise. */
  readonly answerMs: number;
  readonly awaitsSends: boolean;
  /** Messages of its own. */
  readonly push: readonly Piece[];
  readonly failsAt: number;
  readonly stopsAt: number;
  readonly closesAt: number;
  readonly closeMs: number;
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  readonly closeTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly compression: boolean;
}

export interface Http2Client extends AnyClient {
  readonly kind: "http2";
  /** A stream's window at first. */
  readonly window: number;
  readonly steps: readonly Http2Step[];
}

export type Http2Step =
  | RequestStep
  | { readonly type: "pause"; readonly ms: number }
  | { readonly type: "await" }
  | { readonly type: "stall"; readonly ms: number }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "ping" }
  | { readonly type: "stay" }
  | { readonly type: "end" }
  | { readonly type: "reset" };

/** A glisten server with a loop of its own. */
export interface TcpScenario {
  readonly poolSize: number;
  readonly maxConnections: number;
  readonly maxQueue: number;
  readonly activeState: "once" | "active" | { readonly count: number };
  readonly sendMs: number;
  readonly minSendRate: number;
  readonly lingerMs: number;
  readonly stallMs: number;
  readonly initTimeoutMs: number;
  readonly stop: Stop;
  readonly crashes: readonly Crash[];
  readonly clients: readonly TcpClient[];
}

export interface TcpClient {
  readonly id: number;
  readonly atMs: number;
  readonly network: Network;
  readonly steps: readonly TcpStep[];
  readonly server: TcpPlan;
}

export type TcpStep =
  | { readonly type: "send"; readonly size: number }
  /** Waits until all that was sent has come back. */
  | { readonly type: "await" }
  | { readonly type: "stay" }
  | { readonly type: "pause"; readonly ms: number }
  | { readonly type: "stall"; readonly ms: number }
  | { readonly type: "end" }
  | { readonly type: "reset" };

/** What the loop of one connection does. */
export interface TcpPlan {
  readonly initMs: number;
  readonly initFails: boolean;
  /** Before each answer: -1 in the same call, 0 after a promise. */
  readonly answerMs: number;
  readonly greeting: number;
  readonly awaitsSends: boolean;
  /** Messages from another actor, when. */
  readonly messages: readonly number[];
  /** The packet or message it does that at; -1: never. */
  readonly failsAt: number;
  readonly stopsAt: number;
  readonly stopsAbnormallyAt: number;
  readonly resetsAt: number;
  readonly endsAt: number;
  readonly closeMs: number;
  readonly closeFails: boolean;
  readonly onShutdown: "none" | "stop" | "go-on" | "late";
}

/** Supervisors, and children that fail. */
export interface ActorScenario {
  readonly trees: readonly TreePlan[];
}

export interface TreePlan {
  readonly id: number;
  readonly strategy: "one-for-one" | "rest-for-one" | "one-for-all";
  readonly restarts: number;
  readonly withinMs: number;
  readonly children: readonly ChildPlan[];
  readonly stop: {
    readonly atMs: number;
    readonly how: "stop" | "kill";
    readonly deadlineMs: number | undefined;
    readonly again?: { readonly afterMs: number; readonly deadlineMs: number } | undefined;
  };
}

export interface ChildPlan {
  readonly id: number;
  readonly restart: "permanent" | "transient" | "temporary";
  readonly shutdownMs: number | "brutal-kill" | "infinity";
  readonly initMs: number;
  /** The starts that fail, counted from 0. */
  readonly failingStarts: readonly number[];
  readonly handleMs: number;
  readonly closeMs: number;
  readonly maxMailbox: number | undefined;
  readonly overflow: "drop-oldest" | "drop-newest" | "stop";
  readonly messages: readonly MessagePlan[];
  /** It is a factory, and the messages start its children. */
  readonly factory: boolean;
}

export interface MessagePlan {
  readonly atMs: number;
  readonly does:
    | "count"
    | "throw"
    | "reject"
    | "stop"
    | "stop-abnormal"
    | "call"
    | "call-late"
    | "forward"
    | "never";
  readonly timeoutMs: number;
}
