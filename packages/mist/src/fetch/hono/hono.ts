// Hono on mist: WebSockets and the client's address. Everything else of Hono needs no help:
// `mist.new(fromFetch(app.fetch))`.

import type { Context } from "hono";
import type { GetConnInfo } from "hono/conninfo";
import { createWSMessageEvent, defineWebSocketHelper, type UpgradeWebSocket } from "hono/ws";
import { UsageError } from "../../errors.ts";
import { Request as MistRequest } from "../../http/request.ts";
import { type WebSocket, type WebSocketOptions, websocket } from "../../server/websocket/websocket.ts";
import { addressOfClient } from "../client-address.ts";
import type { FetchEnvironment } from "../from-fetch.ts";
import { mistRequest } from "../request.ts";
import { light } from "../response.ts";
import { HonoSocket } from "./hono-socket.ts";

export { createWSMessageEvent };

/** Options of {@link upgradeWebSocket}: limits, deadlines, compression, origins, subprotocols, further fields. */
export type UpgradeOptions = Omit<WebSocketOptions<unknown>, "request" | "onInit" | "handler" | "onClose">;

/**
 * Hono's `upgradeWebSocket`: middleware that answers a WebSocket handshake, and lets other requests pass.
 *
 * Events are dispatched as they come; what an event handler's promise is waiting for does not hold back the next
 * message. A handler that throws or rejects is reported to `onError` of the server, told to `onError` of the events,
 * and ends the socket with 1011. Without the option `subprotocols` the first one offered is taken, as `ws` does. A
 * message is compressed if the option `compression` says so; `compress` of `ws.send` changes nothing. `ws.raw` is
 * mist's WebSocket. Fields that middleware sets on the response join those of the handshake's.
 *
 * @throws UsageError if the server is none made with `fromFetch`, or for options that make no sense.
 *
 * @example
 * ```ts
 * app.get("/ws", upgradeWebSocket(() => ({
 *   onMessage: (event, ws) => ws.send(`you said ${event.data}`),
 * })));
 * ```
 */
export const upgradeWebSocket: UpgradeWebSocket<WebSocket, UpgradeOptions> = defineWebSocketHelper<
  WebSocket,
  UpgradeOptions
>((c, events, options) => {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") return undefined;
  const request = requestOf(c);
  const socket = new HonoSocket(request, c.req.url, events);
  const handler = {
    onInit: (opened: WebSocket) => socket.opened(opened),
    handler: (_state: undefined, message: Parameters<HonoSocket["received"]>[0]) => socket.received(message),
    onClose: () => socket.ended(),
  };
  const subprotocols = options?.subprotocols ?? firstOffered;
  return light.carry(websocket({ ...options, ...handler, subprotocols, request }));
});

/**
 * Hono's `getConnInfo`: the client's address, the real client's where the PROXY protocol is on or a trusted proxy
 * tells it; nothing on a unix socket.
 *
 * @throws UsageError if the server is none made with `fromFetch`.
 */
export const getConnInfo: GetConnInfo = (c) => {
  const client = addressOfClient(requestOf(c));
  if (client === undefined) return { remote: {} };
  const { address, family, port } = client;
  return { remote: { address, addressType: family, port, transport: "tcp" } };
};

function firstOffered(offered: readonly string[]): string | undefined {
  return offered[0];
}

// Middleware may have put another Request in the place of ours; the environment is handed on.
function requestOf(c: Context): MistRequest {
  const request = mistRequest(c.req.raw) ?? (c.env as Partial<FetchEnvironment> | undefined)?.mist;
  if (request instanceof MistRequest) return request;
  throw new UsageError("@x/mist/hono needs the app to be served with mist.new(fromFetch(app.fetch))");
}
