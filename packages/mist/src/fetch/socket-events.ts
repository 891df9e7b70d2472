// Event handlers in the style of the web, called from a mist WebSocket.
//
// They are not waited for: one may well wait for what another is to hear. `stop` waits for what they began; a failure
// is reported, and ends the socket with 1011.

import { Buffer } from "node:buffer";
import type { Request } from "../http/request.ts";
import { waitUntil } from "../server/exchange/request-services.ts";
import type { WebSocket } from "../server/websocket/websocket.ts";

const internalError = 1011;

/** Calls an event handler. What it throws is thrown on; what it rejects with ends the socket, by way of `failed`. */
export function dispatch(
  request: Request,
  socket: WebSocket | undefined,
  handler: () => unknown,
  failed: (error: unknown) => void,
): void {
  let result: unknown;
  try {
    result = handler();
  } catch (error) {
    failed(error);
    throw error;
  }
  if (!(result instanceof Promise)) return;
  const work = result.catch((error: unknown) => {
    socket?.close(internalError);
    failed(error);
    throw error;
  });
  waitUntil(request, work);
}

/** Bytes as an ArrayBuffer that holds nothing else. */
export function toArrayBuffer(data: Uint8Array): ArrayBuffer {
  const { buffer, byteLength } = data;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
    ? buffer
    : new Uint8Array(data).buffer;
}

/** Sends text, or bytes of any sort. */
export function sendData(socket: WebSocket, data: string | ArrayBufferLike | ArrayBufferView): Promise<void> {
  if (typeof data === "string") return socket.sendText(data);
  return socket.sendBinary(
    ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data),
  );
}
