// One WebSocket of Hono: mist's messages become the events that Hono's handlers hear.

import { createWSMessageEvent, WSContext, type WSEvents, type WSReadyState } from "hono/ws";
import type { Request } from "../../http/request.ts";
import type { WebSocket, WebSocketMessage } from "../../server/websocket/websocket.ts";
import { dispatch, sendData, toArrayBuffer } from "../socket-events.ts";

/** What ends without a Close frame, and what our side has failed at (RFC 6455 §7.4.1). */
const abnormal = 1006;
const internalError = 1011;

/** The event of a close. Not every Node has a CloseEvent. */
class SocketCloseEvent extends Event {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(code: number, reason: string) {
    super("close");
    this.code = code;
    this.reason = reason;
    this.wasClean = code !== abnormal;
  }
}

/** The event of a failure of the handlers. */
class SocketErrorEvent extends Event {
  readonly error: unknown;

  constructor(error: unknown) {
    super("error");
    this.error = error;
  }
}

export class HonoSocket {
  readonly #request: Request;
  readonly #url: string;
  readonly #events: WSEvents<WebSocket>;
  #socket: WebSocket | undefined = undefined;
  #context: WSContext<WebSocket> | undefined = undefined;
  #closed = false;

  constructor(request: Request, url: string, events: WSEvents<WebSocket>) {
    this.#request = request;
    this.#url = url.replace(/^http/, "ws");
    this.#events = events;
  }

  opened(socket: WebSocket): undefined {
    this.#socket = socket;
    const context = this.#contextOf(socket);
    this.#context = context;
    this.#dispatch(() => this.#events.onOpen?.(new Event("open"), context));
  }

  received(message: WebSocketMessage): void {
    const context = this.#context as WSContext<WebSocket>;
    if (message.type === "text") {
      this.#dispatch(() => this.#events.onMessage?.(createWSMessageEvent(message.data), context));
    } else if (message.type === "binary") {
      const bytes = toArrayBuffer(message.data);
      const data = context.binaryType === "blob" ? new Blob([bytes]) : bytes;
      this.#dispatch(() => this.#events.onMessage?.(createWSMessageEvent(data), context));
    } else if (message.type === "closed") {
      this.#close(message.code, message.reason);
    }
  }

  /** The loop is over; if it never heard of a close, because it failed itself. */
  ended(): void {
    this.#close(internalError, "");
  }

  #close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const context = this.#context as WSContext<WebSocket>;
    this.#dispatch(() => this.#events.onClose?.(new SocketCloseEvent(code, reason), context));
  }

  #dispatch(handler: () => unknown): void {
    dispatch(this.#request, this.#socket, handler, (error) => {
      if (this.#context !== undefined) this.#events.onError?.(new SocketErrorEvent(error), this.#context);
    });
  }

  #contextOf(socket: WebSocket): WSContext<WebSocket> {
    const readyState = (): WSReadyState => (this.#closed ? 3 : socket.open ? 1 : 2);
    return new WSContext<WebSocket>({
      raw: socket,
      url: this.#url,
      protocol: socket.subprotocol ?? "",
      get readyState() {
        return readyState();
      },
      send: (data) => void sendData(socket, data),
      close: (code, reason) => socket.close(code, reason),
    });
  }
}
