// `websocket({ request, onInit, handler, onClose })`: a response that turns its connection into a WebSocket.
//
// Owns its options and the response. What the handler sees is in `handler.ts`; the handshake is judged in
// `websocket/handshake.ts`; behind the acceptance (101, over HTTP/2 200) `shell.ts` takes over.

import type { Protocol } from "@x/glisten";
import type { AnyIfUnknown } from "@x/glisten/actor";

import { checkFunctions, checkNames, refusePromise, shown } from "@x/glisten/kit";

import { UsageError } from "../../errors.ts";
import { type Fields, type FieldsOption, fieldLines } from "../../http/fields.ts";
import { checkRequest, type Request } from "../../http/request.ts";
import { Response, response } from "../../http/response.ts";
import { type HandshakeAccepted, type HandshakeRejected, judgeHandshake } from "../../websocket/handshake.ts";
import { bytes, type ServerResponse, type UpgradeBody, type UpgradeHost } from "../body/response-body.ts";
import { inEnteredContext } from "../exchange/async-context.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import type { WebSocketHandler } from "./handler.ts";
import { tuningNames, type WebSocketSettings, type WebSocketTuning, websocketSettings } from "./options.ts";
import { PermessageDeflate } from "./permessage-deflate.ts";
import { WebSocketShell } from "./shell.ts";

export type { WebSocket, WebSocketCloseReason, WebSocketHandler, WebSocketMessage } from "./handler.ts";

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
  /** Further fields of the accepting response, such as `set-cookie`. */
  readonly headers?: FieldsOption | undefined;
}

/**
 * Answers a WebSocket handshake (RFC 6455 §4.2, RFC 8441) with a response that turns the connection into a WebSocket, or
 * over HTTP/2 the stream; a
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
  checkRequest(options.request);
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
    start(stream: ByteStream, host: UpgradeHost): Protocol {
      const deflate = compression(settings, handshake);
      const agreement = { subprotocol, deflate };
      const user = inEnteredContext({ onInit, handler, onClose }, ["onInit", "handler", "onClose"]);
      const shell = new WebSocketShell<State, Message>(stream, user, settings, agreement, host);
      shell.start(user.onInit);
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
  checkList("subprotocols", subprotocols);
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
  if (check === undefined) return undefined;
  checkList("checkOrigin", check);
  if (typeof check === "function") {
    return (origin) => {
      const welcome = check(origin);
      refusePromise("checkOrigin", welcome); // which would be as good as true
      return welcome;
    };
  }
  return (origin) => origin !== undefined && check.includes(origin);
}

/** A string would do for a list of its own parts: `includes` finds them all. */
function checkList(name: string, value: unknown): void {
  if (typeof value === "function") return;
  if (Array.isArray(value) && value.every((entry) => typeof entry === "string")) return;
  throw new UsageError(`${name} must be a list of strings or a function, got ${shown(value)}`);
}

const ownFields = /^(?:upgrade|connection|content-length|transfer-encoding|sec-websocket-.*)$/;

function furtherFields(headers: WebSocketOptions<unknown>["headers"]): Fields {
  if (headers === undefined) return [];
  const further = fieldLines(headers);
  for (const [name] of further)
    if (ownFields.test(name)) throw new UsageError(`headers must not name ${name}, which the handshake sets`);
  return further;
}
