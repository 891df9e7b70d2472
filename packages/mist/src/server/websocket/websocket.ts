// `websocket({ request, onInit, handler, onClose })`: a response that turns its connection into a WebSocket.
//
// Owns what the user sees: options, messages, the connection's methods. The handshake is judged in
// `websocket/handshake.ts`, the connection lives in `websocket-shell.ts`, its user side in `websocket-session.ts`.

import type { Connection, ConnectionInfo, Protocol } from "@x/glisten";
import type { AnyIfUnknown, Initialised, Subject, UserResult } from "@x/glisten/actor";
import { checkFunctions, checkNames } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { type Fields, field } from "../../http/fields.ts";
import type { Request } from "../../http/request.ts";
import { Response, response } from "../../http/response.ts";
import { type HandshakeAccepted, type HandshakeRejected, judgeHandshake } from "../../websocket/handshake.ts";
import { bytes, type ServerResponse, type UpgradeBody } from "../body/response-body.ts";
import { tuningNames, type WebSocketSettings, type WebSocketTuning, websocketSettings } from "./options.ts";
import { PermessageDeflate } from "./permessage-deflate.ts";
import type { PreparedFrame } from "./prepared-frame.ts";
import { WebSocketShell } from "./shell.ts";

/** What a WebSocket's handler receives, one at a time. */
export type WebSocketMessage<Message = never> =
  /** A text message from the client. */
  | { readonly type: "text"; readonly data: string }
  /** A binary message from the client; the bytes are yours. */
  | { readonly type: "binary"; readonly data: Uint8Array }
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

/** Options of {@link websocket}. `Self` is the message type of the WebSocket that `onInit` gets; leave it to be inferred. */
export interface WebSocketOptions<State, Message = never, Self = Message>
  extends WebSocketTuning,
    WebSocketHandler<State, Message, Self> {
  /** The request that asks for the WebSocket. */
  readonly request: Request<unknown>;
  /**
   * The subprotocols this server speaks: the first the client named that is among them is taken. Or a function that
   * chooses one of those the client offered. Default: none.
   */
  readonly subprotocols?:
    | readonly string[]
    | ((offered: readonly string[]) => string | undefined)
    | undefined;
  /**
   * Welcome origins, or a function that judges one (undefined: the client sent none, so it is no browser). Others get
   * 403. Default: every origin; say which if cookies or the network tell who the user is, or any page may speak in
   * their name.
   */
  readonly checkOrigin?: readonly string[] | ((origin: string | undefined) => boolean) | undefined;
  /** Further fields of the 101 response, such as `set-cookie`. */
  readonly headers?: Readonly<Record<string, string>> | Fields | undefined;
}

/**
 * Answers a WebSocket handshake (RFC 6455 §4.2) with a response that turns the connection into a WebSocket; a
 * malformed one with 400, another version with 426, an unwelcome origin with 403.
 *
 * @throws UsageError for options that make no sense
 *
 * @example
 * ```ts
 * mist.websocket({
 *   request,
 *   onInit: () => 0,
 *   handler(count, message, websocket) {
 *     if (message.type === "text") websocket.sendText(message.data);
 *     return mist.continue(count + 1);
 *   },
 * });
 * ```
 */
export function websocket<State, Message = never, Self = AnyIfUnknown<Message>>(
  options: WebSocketOptions<State, Message, Self>,
): ServerResponse {
  checkNames("websocket", options, optionNames);
  checkFunctions(options, ["onInit", "handler"], ["onClose"]);
  const settings = websocketSettings(options);
  const handshake = judgeHandshake(options.request, {
    chooseSubprotocol: subprotocolChoice(options.subprotocols),
    checkOrigin: originCheck(options.checkOrigin),
    compression: settings.compression,
    headers: furtherFields(options.headers),
  });
  if (handshake.type === "reject") return refusal(handshake);
  const handler = options as unknown as WebSocketHandler<State, Message>;
  return new Response(101, handshake.fields, upgradeBody(handler, settings, handshake));
}

const optionNames = [
  ...["request", "onInit", "handler", "onClose", "subprotocols", "checkOrigin", "headers"],
  ...tuningNames,
];

function upgradeBody<State, Message>(
  { onInit, handler, onClose }: WebSocketHandler<State, Message>,
  settings: WebSocketSettings,
  handshake: HandshakeAccepted,
): UpgradeBody {
  const { subprotocol } = handshake;
  return {
    kind: "upgrade",
    start(connection: Connection, onError: (error: unknown) => void): Protocol {
      const deflate = compression(settings, handshake);
      const agreement = { subprotocol, deflate };
      const user = { handler, onClose };
      const shell = new WebSocketShell<State, Message>(connection, user, settings, agreement, onError);
      shell.start(onInit);
      return shell;
    },
  };
}

function compression(
  settings: WebSocketSettings,
  handshake: HandshakeAccepted,
): PermessageDeflate | undefined {
  if (settings.compression === undefined || handshake.compression === undefined) return undefined;
  const { maxMessageBytes } = settings;
  return new PermessageDeflate({ ...settings.compression, ...handshake.compression, maxMessageBytes });
}

function refusal(handshake: HandshakeRejected): ServerResponse {
  let refused = response(handshake.status).setHeader("content-type", "text/plain; charset=utf-8");
  for (const [name, value] of handshake.fields) refused = refused.setHeader(name, value);
  return refused.setBody(bytes(`${handshake.reason}\n`));
}

function subprotocolChoice(
  subprotocols: WebSocketOptions<unknown>["subprotocols"],
): ((offered: readonly string[]) => string | undefined) | undefined {
  if (subprotocols === undefined) return undefined;
  if (typeof subprotocols !== "function")
    return (offered) => offered.find((name) => subprotocols.includes(name));
  return (offered) => {
    const chosen = subprotocols(offered);
    if (chosen === undefined || offered.includes(chosen)) return chosen;
    throw new UsageError(
      `the client did not offer the subprotocol ${JSON.stringify(chosen)} (RFC 6455 §4.2.2)`,
    );
  };
}

function originCheck(
  check: WebSocketOptions<unknown>["checkOrigin"],
): ((origin: string | undefined) => boolean) | undefined {
  if (check === undefined || typeof check === "function") return check;
  return (origin) => origin !== undefined && check.includes(origin);
}

const ownFields = /^(?:upgrade|connection|content-length|transfer-encoding|sec-websocket-.*)$/;

function furtherFields(headers: WebSocketOptions<unknown>["headers"]): Fields {
  if (headers === undefined) return [];
  const entries: Fields = Array.isArray(headers) ? headers : Object.entries(headers);
  return entries.map(([name, value]) => {
    const further = field(name, value);
    if (!ownFields.test(further[0])) return further;
    throw new UsageError(`${further[0]} is the handshake's own`);
  });
}
