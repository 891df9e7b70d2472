// A byte stream without a socket, and a WebSocket on it: what a test feeds arrives, what is written is kept, time passes
// when the test says so. That a WebSocket needs no more than this is what lets HTTP/2 carry one (RFC 8441).

import { Buffer } from "node:buffer";
import type { ConnectionInfo, Protocol, Sendable } from "@x/glisten";
import * as mist from "../../src/index.ts";
import { serverEvents } from "../../src/server/events.ts";
import type { ByteStream } from "../../src/server/exchange/byte-stream.ts";
import { readServerFrames, type ServerFrame } from "../websocket/client-frames.ts";
import { fakeRequest } from "./file-request.ts";

export class MemoryStream implements ByteStream {
  readonly #written: Buffer[] = [];
  /** What each write was given, by its size. */
  readonly writes: number[] = [];
  /** Does the peer take nothing? */
  full = false;
  bufferedAmount = 0;
  bytesWritten = 0;
  closed = false;
  /** `close` or `reset`, when it was called. */
  ended: "close" | "reset" | undefined;
  /** Milliseconds; 0: none. */
  deadlineMs = 0;

  write(data: Sendable, encoding: "utf8" | "latin1" = "utf8"): boolean {
    if (this.ended !== undefined) return false;
    const parts = typeof data === "string" || data instanceof Uint8Array ? [data] : data;
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string, encoding)));
    this.#written.push(bytes);
    this.writes.push(bytes.length);
    this.bytesWritten += bytes.length;
    if (this.full) this.bufferedAmount += bytes.length;
    return !this.full;
  }

  close(): void {
    this.ended ??= "close";
  }

  reset(): void {
    this.ended ??= "reset";
    this.closed = true;
  }

  setDeadline(ms: number): void {
    this.deadlineMs = ms;
  }

  info(): ConnectionInfo {
    throw new Error("nobody is there");
  }

  /** The frames written since the last call. */
  frames(): ServerFrame[] {
    const { frames, rest } = readServerFrames(Buffer.concat(this.#written.splice(0)));
    if (rest.length > 0) throw new Error("half a frame was written");
    return frames;
  }
}

/** A WebSocket on a stream of its own. */
export interface OnStream {
  readonly stream: MemoryStream;
  readonly protocol: Protocol;
  /** The fields of the 101. */
  readonly response: mist.ServerResponse;
  readonly errors: unknown[];
  /** Bytes arrive; resolves when they have been handled. */
  feed(...bytes: Uint8Array[]): Promise<void>;
}

type Options<State, Message> = Partial<mist.WebSocketOptions<State, Message>>;

/** Opens a WebSocket: an echo, but for what `options` say. */
export function openOnStream<State = unknown, Message = never>(
  options: Options<State, Message> = {},
  extensions?: string,
  onError?: (error: unknown) => void,
): OnStream {
  const request = fakeRequest("/", {
    host: "localhost",
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    ...(extensions === undefined ? {} : { "sec-websocket-extensions": extensions }),
  });
  const answer = mist.websocket<State, Message>({
    request,
    onInit: () => undefined as State,
    handler(_state, message, websocket) {
      if (message.type === "text") websocket.sendText(message.data);
      else if (message.type === "binary") websocket.sendBinary(message.data);
    },
    ...options,
  });
  if (answer.body.kind !== "upgrade") throw new Error(`refused with ${answer.status}`);
  const stream = new MemoryStream();
  const errors: unknown[] = [];
  const protocol = answer.body.start(stream as never, {
    onError: onError ?? ((error) => void errors.push(error)),
    events: serverEvents(() => {}),
  });
  const feed = async (...bytes: Uint8Array[]): Promise<void> => {
    // Memory of its own, as a socket reads it: payloads are unmasked in place.
    await protocol.data(Buffer.from(Buffer.concat(bytes)));
  };
  return { stream, protocol, response: answer, errors, feed };
}
