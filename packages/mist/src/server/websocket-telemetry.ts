// WebSocket events on node:diagnostics_channel. With no subscriber an event costs one property read.

import diagnostics_channel from "node:diagnostics_channel";
import type { WebSocket } from "./websocket.ts";

/** Published on `mist:websocket:open` behind the handshake, before `onInit`. */
export interface WebSocketOpenEvent {
  readonly websocket: WebSocket<never>;
}

/** Published on `mist:websocket:close` when a WebSocket that was initialised has closed. */
export interface WebSocketCloseEvent {
  readonly websocket: WebSocket<never>;
  /** The code of the Close frame, 1005 for one without, 1006 if there was none. */
  readonly code: number;
  readonly reason: string;
}

/** Published on `mist:websocket:error` when the client breaks the protocol or a handler fails. */
export interface WebSocketErrorEvent {
  readonly websocket: WebSocket<never>;
  readonly error: unknown;
}

/** `mist:websocket:open` */
export const websocketOpen: diagnostics_channel.Channel = diagnostics_channel.channel("mist:websocket:open");
/** `mist:websocket:close` */
export const websocketClose: diagnostics_channel.Channel =
  diagnostics_channel.channel("mist:websocket:close");
/** `mist:websocket:error` */
export const websocketError: diagnostics_channel.Channel =
  diagnostics_channel.channel("mist:websocket:error");
