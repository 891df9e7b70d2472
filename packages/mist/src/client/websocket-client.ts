// The client's end of a WebSocket, for tests: the server's frames are read with the code that reads those of clients.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { ABNORMAL_CLOSURE, type CloseStatus } from "../websocket/close-code.ts";
import { encodeClosePayload } from "../websocket/close-payload.ts";
import { BINARY, CLOSE, encodeMaskedFrame, FIN, PING, PONG, TEXT } from "../websocket/frame.ts";
import { FrameReader } from "../websocket/reader.ts";
import type { Line } from "./dial.ts";

const limits = { maxMessageBytes: 1 << 30, maxFrames: 1 << 30 };
/** Messages that nobody has taken, in bytes: with more the server is not read from. */
const mostWaiting = 1024 * 1024;

/** The client's end of a WebSocket. `for await` gives its messages; `await using` closes it. */
export class WebSocketClient implements AsyncDisposable {
  /** The fields of the server's 101. */
  readonly headers: Headers;
  /** The subprotocol that the server chose; `""`: none. */
  readonly protocol: string;
  /** Resolves when the WebSocket is over: with the code and the reason of the server, or 1006 without its Close frame. */
  readonly closed: Promise<CloseStatus>;
  readonly #line: Line;
  readonly #frames = new FrameReader(limits, false, false);
  readonly #messages: (string | Buffer)[] = [];
  #waitingBytes = 0;
  #status: CloseStatus | undefined = undefined;
  #closeSent = false;
  #isOver = false;
  #changed: (() => void)[] = [];

  /** @internal */
  constructor(line: Line, headers: Headers, received: Buffer) {
    this.#line = line;
    this.headers = headers;
    this.protocol = headers.get("sec-websocket-protocol") ?? "";
    this.#frames.receive(received);
    this.closed = this.#run();
  }

  /** Sends a text or a binary message. Resolves when the server has taken enough for more to be welcome. */
  async send(data: string | Uint8Array): Promise<void> {
    const opcode = typeof data === "string" ? TEXT : BINARY;
    await this.#send(opcode, typeof data === "string" ? Buffer.from(data) : data);
  }

  /** Sends a ping of at most 125 bytes. */
  async ping(payload: string | Uint8Array = ""): Promise<void> {
    await this.#send(PING, typeof payload === "string" ? Buffer.from(payload) : payload);
  }

  /** The next message, text as a string; undefined once the WebSocket is over. */
  async receive(): Promise<string | Buffer | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.#waitingBytes -= message.length;
        this.#wake();
        return message;
      }
      if (this.#isOver) return undefined;
      await this.#change();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string | Buffer, void, undefined> {
    for (let message = await this.receive(); message !== undefined; message = await this.receive()) {
      yield message;
    }
  }

  /** Sends a Close frame (default: 1000), drops the messages that nobody has taken, and gives what `closed` does. */
  async close(code = 1000, reason = ""): Promise<CloseStatus> {
    await this.#sendClose(code, reason);
    while (!this.#isOver) {
      this.#messages.length = 0;
      this.#waitingBytes = 0;
      this.#wake();
      await this.#change();
    }
    return await this.closed;
  }

  /** Breaks the connection off, with no Close frame. */
  abort(): void {
    this.#line.reset();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(opcode: number, payload: Uint8Array): Promise<void> {
    if (this.#closeSent || this.#isOver) throw new Error("the WebSocket is closed");
    await this.#line.write(encodeMaskedFrame(FIN | opcode, payload, randomBytes(4)));
  }

  async #sendClose(code: number, reason: string): Promise<void> {
    if (this.#closeSent || this.#isOver) return;
    this.#closeSent = true;
    const frame = encodeMaskedFrame(FIN | CLOSE, encodeClosePayload(code, reason), randomBytes(4));
    await this.#line.write(frame).catch(() => {});
  }

  /** Reads until the server has sent its FIN, or the connection breaks. */
  async #run(): Promise<CloseStatus> {
    try {
      while (await this.#next());
    } catch {
      // Told by 1006.
    }
    this.#isOver = true;
    this.#line.end();
    this.#wake();
    return this.#status ?? { code: ABNORMAL_CLOSURE, reason: "" };
  }

  async #next(): Promise<boolean> {
    const event = this.#frames.next();
    switch (event.type) {
      case "need-data": {
        while (this.#waitingBytes > mostWaiting) await this.#change();
        const bytes = await this.#line.read();
        if (bytes !== undefined) this.#frames.receive(bytes);
        return bytes !== undefined;
      }
      case "text":
      case "binary":
        this.#messages.push(event.data);
        this.#waitingBytes += event.data.length;
        this.#wake();
        return true;
      case "ping":
        if (!this.#closeSent) await this.#send(PONG, Buffer.from(event.payload, "latin1"));
        return true;
      case "close":
        this.#status = { code: event.code, reason: event.reason };
        await this.#sendClose(event.code, "");
        return true;
      case "failed":
        this.#line.reset();
        throw event.error;
      default:
        return true;
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}
