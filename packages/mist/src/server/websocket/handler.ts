// What a WebSocket's handler sees: its messages, and the connection in its hand.

import type { Buffer } from "node:buffer";
import type { ConnectionInfo } from "@x/glisten";
import type { Initialised, Subject, UserResult } from "@x/glisten/actor";
import type { PreparedFrame } from "./prepared-frame.ts";

/** What a WebSocket's handler receives, one at a time. */
export type WebSocketMessage<Message = never> =
  /** A text message from the client. */
  | { readonly type: "text"; readonly data: string }
  /** A binary message from the client; the bytes are yours. */
  | { readonly type: "binary"; readonly data: Buffer }
  /** A message from another actor: sent to `websocket.subject`, or by a source of the selector. */
  | { readonly type: "user"; readonly message: Message }
  /** The server is stopping; the connection closes with 1001 when this has been handled. */
  | { readonly type: "shutdown" }
  /**
   * The connection is closed; nothing can be sent and nothing comes behind this. `code` is the client's (1005 if it
   * gave none), what we told a client that broke the rules, or 1006 if it was lost without a Close frame.
   */
  | { readonly type: "closed"; readonly code: number; readonly reason: string };

/** One open WebSocket, as its handler holds it. */
export interface WebSocket<Message = never> {
  /** Where other actors send this connection's user messages. */
  readonly subject: Subject<Message>;
  /** The subprotocol agreed upon, if any. */
  readonly subprotocol: string | undefined;
  /** Has permessage-deflate been agreed upon? */
  readonly compressed: boolean;
  /** False once a Close frame has been sent or the connection is gone: sends are refused. */
  readonly open: boolean;
  /** Bytes sent and not yet taken by the kernel. */
  readonly bufferedAmount: number;
  /** True while the client takes less than it is sent. The promise of the last send resolves when it has caught up. */
  readonly blocked: boolean;
  /**
   * Sends a text message. The promise is already resolved in the common case; otherwise it resolves when the client
   * has taken enough for more to be welcome. Rejects with a TransportError when the connection is closing or gone. A
   * promise nobody looks at does no harm.
   */
  sendText(data: string): Promise<void>;
  /** Sends a binary message, which must not be changed before the promise resolves. Otherwise like {@link sendText}. */
  sendBinary(data: Uint8Array): Promise<void>;
  /** Sends a message made with `prepareFrame`. Otherwise like {@link sendText}. */
  sendPrepared(frame: PreparedFrame): Promise<void>;
  /** Sends a ping of at most 125 bytes; the pong only counts as a sign of life. @throws UsageError if longer */
  ping(data?: Uint8Array): Promise<void>;
  /**
   * Begins the closing handshake, behind what has been sent. The handler hears `closed` when the client has answered,
   * or after `closeTimeoutMs`.
   *
   * @param code 1000 (the default) to 1003, 1007 to 1014, 3000 to 4999
   * @param reason at most 123 bytes
   * @throws UsageError for a code or reason that may not be sent
   */
  close(code?: number, reason?: string): void;
  /** The client's address and port. */
  info(): ConnectionInfo;
}

/** How a WebSocket ended: what the `closed` message says, or would have said had the loop not ended first. */
export interface WebSocketCloseReason {
  /** The code of the Close frame; 1005 if it had none, 1006 if there was none. */
  readonly code: number;
  /** What the Close frame said, or why there was none. */
  readonly reason: string;
  /** What the handler failed with, if that ended it (1011). */
  readonly error?: unknown;
}

/**
 * The user's half of a WebSocket. `Self` is the message type of the WebSocket that `onInit` gets; leave it to be
 * inferred.
 */
export interface WebSocketHandler<State, Message, Self = Message> {
  /** Makes the first state, or the state and a selector of sources to hear besides. May send at once. */
  readonly onInit: (
    websocket: WebSocket<Self>,
  ) => Initialised<State, Message> | PromiseLike<Initialised<State, Message>>;
  /**
   * Handles one message. Returns `continue(state)`, `stop()` (closes with 1000), `stopAbnormal(reason)` (1011), or
   * nothing to go on as before. While its promise is pending nothing more is read from the client.
   */
  readonly handler: (
    state: State,
    message: WebSocketMessage<Message>,
    websocket: WebSocket<Message>,
  ) => UserResult<State, Message>;
  /**
   * Called once with the last state, and how the connection ended. Not called if `onInit` failed. Sees the state that a
   * pending handler leaves, if that settles within 5 seconds. A promise is waited for.
   */
  readonly onClose?: ((state: State, reason: WebSocketCloseReason) => unknown) | undefined;
}
