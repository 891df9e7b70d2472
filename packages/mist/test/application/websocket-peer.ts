// A raw WebSocket client on a plain socket, or on a stream of HTTP/2, and a server for it to talk to.

import { Buffer } from "node:buffer";
import * as mist from "../../src/index.ts";
import type { Served } from "../server/serve.ts";
import { serve } from "../server/serve.ts";
import { readServerFrames, type ServerFrame } from "../websocket/client-frames.ts";
import { connectStream } from "./websocket-stream-peer.ts";

/** What a client needs of what carries its frames: a mug socket is one. */
export interface PeerSocket {
  send(bytes: Buffer): Promise<unknown>;
  receive(options: { timeout: number }): Promise<Buffer>;
  receiveToEnd(options: { timeout: number }): Promise<Buffer>;
  halfClose(): Promise<unknown>;
  reset(): unknown;
  close(): Promise<unknown>;
}

/** Which version `open` speaks. The same tests run over both: see `websocket-http2.test.ts`. */
export const transport: { version: "1.1" | "2" } = { version: "1.1" };

export const key = "dGhlIHNhbXBsZSBub25jZQ==";

/** A handshake with these fields changed; undefined leaves one out. */
export function handshake(
  changes: Record<string, string | undefined> = {},
  requestLine = "GET / HTTP/1.1",
): string {
  const fields: Record<string, string | undefined> = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": key,
    "Sec-WebSocket-Version": "13",
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${[requestLine, ...lines].join("\r\n")}\r\n\r\n`;
}

export type Options<State, Message> = Partial<mist.WebSocketOptions<State, Message>>;

/** An echo, but for what `options` say. */
export function echo<State = unknown, Message = never>(
  options: Options<State, Message> = {},
): (request: mist.Request) => mist.ServerResponse {
  return (request) =>
    mist.websocket<State, Message>({
      request,
      onInit: () => undefined as State,
      handler(_state, message, websocket) {
        if (message.type === "text") websocket.sendText(message.data);
        else if (message.type === "binary") websocket.sendBinary(message.data);
      },
      ...options,
    });
}

export class RawClient {
  readonly socket: PeerSocket;
  readonly head: string;
  #bytes: Buffer = Buffer.alloc(0);
  #frames: ServerFrame[] = [];

  constructor(socket: PeerSocket, head: string) {
    this.socket = socket;
    this.head = head;
  }

  send(...frames: readonly Buffer[]): Promise<unknown> {
    return this.socket.send(Buffer.concat(frames));
  }

  /** The next frame. */
  async frame(): Promise<ServerFrame> {
    while (this.#frames.length === 0) {
      const pieces = [this.#bytes];
      // A large frame comes in many pieces, which are joined once.
      const wanted = sizeOfFrame(this.#bytes);
      for (let have = this.#bytes.length; have < wanted; ) {
        const piece = await this.socket.receive({ timeout: 10_000 });
        pieces.push(piece);
        have += piece.length;
      }
      const { frames, rest } = readServerFrames(Buffer.concat(pieces));
      this.#bytes = rest;
      this.#frames = frames;
    }
    return this.#frames.shift()!;
  }

  /** The next frame's payload as text. */
  async text(): Promise<string> {
    return (await this.frame()).payload.toString("utf8");
  }

  /** The next frame, which must be a Close: its code, 1005 if it has none. */
  async close(): Promise<number> {
    const frame = await this.frame();
    if (frame.opcode !== 8) throw new Error(`opcode ${frame.opcode} in place of a Close: ${frame.payload}`);
    return frame.payload.length === 0 ? 1005 : frame.payload.readUInt16BE(0);
  }

  /** Everything up to the server's FIN: the frames. */
  async rest(): Promise<ServerFrame[]> {
    const bytes = await this.socket.receiveToEnd({ timeout: 10_000 });
    const { frames } = readServerFrames(Buffer.concat([this.#bytes, bytes]));
    const all = [...this.#frames, ...frames];
    this.#frames = [];
    return all;
  }
}

/** Bytes of the server's frame that begins with `bytes`, as far as they tell. */
function sizeOfFrame(bytes: Buffer): number {
  if (bytes.length < 10) return bytes.length + 1;
  const length = (bytes[1] as number) & 0x7f;
  if (length < 126) return 2 + length;
  return length === 126 ? 4 + bytes.readUInt16BE(2) : 10 + Number(bytes.readBigUInt64BE(2));
}

/** Opens a WebSocket by hand. */
export async function open(
  served: Served,
  changes: Record<string, string | undefined> = {},
  behind: Buffer = Buffer.alloc(0),
): Promise<RawClient> {
  if (transport.version === "2") {
    const { socket, head } = await connectStream(served.url, changes, behind);
    if (!head.startsWith(":status: 200\r\n")) throw new Error(head);
    return new RawClient(socket, head);
  }
  const socket = await served.connect();
  await socket.send(Buffer.concat([Buffer.from(handshake(changes)), behind]));
  const head = (await socket.receiveUntil("\r\n\r\n", { timeout: 10_000 })).toString("latin1");
  if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(head);
  return new RawClient(socket, head);
}

/** Starts a server whose every request is a WebSocket with these options, and opens one. */
export async function connected<State = unknown, Message = never>(
  options: Options<State, Message> = {},
): Promise<{ served: Served; client: RawClient }> {
  const served = await serve(echo(options));
  return { served, client: await open(served) };
}

/** A promise and what settles it. */
export function deferred<Value = void>(): { promise: Promise<Value>; resolve(value: Value): void } {
  let resolve!: (value: Value) => void;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
