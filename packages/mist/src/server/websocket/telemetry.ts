// WebSocket events on node:diagnostics_channel. With no subscriber an event costs one property read.

import diagnostics_channel from "node:diagnostics_channel";
import type { WebSocket } from "./handler.ts";

/** Published on `mist:websocket:open` behind the handshake, before `onInit`. */
export interface WebSocketOpenEvent {
  /** The connection that has opened. */
  readonly websocket: WebSocket<never>;
}

/** Published on `mist:websocket:close` once for every `open`, when the connection is gone. */
export interface WebSocketCloseEvent {
  /** The connection that is gone. */
  readonly websocket: WebSocket<never>;
  /** The client's code (1005 if it gave none), ours where we broke off, 1006 without a Close frame. */
  readonly code: number;
  /** What the Close frame gave as a reason; empty if nothing. */
  readonly reason: string;
}

/** Published on `mist:websocket:error` when the client breaks the protocol or a handler fails. */
export interface WebSocketErrorEvent {
  /** The connection it happened on. */
  readonly websocket: WebSocket<never>;
  /** A ProtocolError, or what the handler threw. */
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
