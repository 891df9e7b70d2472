// The user's side of a WebSocket: what the handler holds in its hand.
//
// Owns that the handler hears `closed` last, unless its loop ended first itself, and what an end of the loop means for the
// connection. The loop's life is the user loop's, the closing handshake the shell's.

import { Buffer } from "node:buffer";
import type { ConnectionInfo } from "@x/glisten";
import {
  type ExitReason,
  type LoopHost,
  normalExit,
  type Subject,
  UserLoop,
  type UserResult,
} from "@x/glisten/actor";
import { isPromiseLike, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import {
  INTERNAL_ERROR,
  isSendableCloseCode,
  maxCloseReasonBytes,
  NORMAL_CLOSURE,
} from "../../websocket/close-code.ts";
import { maxControlPayload } from "../../websocket/frame.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import type { WebSocket, WebSocketCloseReason, WebSocketHandler, WebSocketMessage } from "./handler.ts";
import type { WebSocketSettings } from "./options.ts";
import type { PreparedFrame } from "./prepared-frame.ts";
import type { WebSocketWriter } from "./writer.ts";

const noBytes: Buffer = Buffer.alloc(0);

/** What a session tells the shell. */
export interface SessionHost {
  readonly stream: ByteStream;
  readonly settings: WebSocketSettings;
  readonly writer: WebSocketWriter;
  /** `onInit` is done. */
  opened(): void;
  /** The user wants to close. */
  beginClose(code: number, reason: string): void;
  /** The loop has ended of its own accord. Returns the code to close with. */
  stopped(): number;
  /** The user's code failed, and with it the connection. */
  failed(error: unknown): void;
  /** The user's code failed, with no consequence but that it is told. */
  report(error: unknown): void;
}

export class WebSocketSession<S, M>
  implements WebSocket<M>, LoopHost<S, WebSocketMessage<M>, M, WebSocketCloseReason>
{
  readonly subprotocol: string | undefined;
  readonly #host: SessionHost;
  readonly #user: UserLoop<S, WebSocketMessage<M>, M, WebSocketCloseReason>;
  readonly #userHandler: WebSocketHandler<S, M>["handler"];
  readonly #userClose: WebSocketHandler<S, M>["onClose"];
  /** How it ended, as the user is told. */
  #reason: WebSocketCloseReason | undefined;

  constructor(
    host: SessionHost,
    { handler, onClose }: Pick<WebSocketHandler<S, M>, "handler" | "onClose">,
    subprotocol: string | undefined,
  ) {
    this.#host = host;
    this.#user = new UserLoop<S, WebSocketMessage<M>, M, WebSocketCloseReason>(this, host.settings);
    this.#userHandler = handler;
    this.#userClose = onClose;
    this.subprotocol = subprotocol;
  }

  // ── what the user may call ────────────────────────────────────────────────────────────────────────────────

  get compressed(): boolean {
    return this.#host.writer.deflate !== undefined;
  }

  get open(): boolean {
    return this.#host.writer.open;
  }

  get bufferedAmount(): number {
    return this.#host.writer.bufferedAmount;
  }

  get blocked(): boolean {
    return this.#host.writer.flow.blocked;
  }

  get subject(): Subject<M> {
    return this.#user.subject;
  }

  sendText(data: string): Promise<void> {
    if (typeof data !== "string") throw new UsageError(`sendText takes text, got ${shown(data)}`);
    return this.#host.writer.text(data);
  }

  sendBinary(data: Uint8Array): Promise<void> {
    if (!(data instanceof Uint8Array)) throw new UsageError(`sendBinary takes bytes, got ${shown(data)}`);
    return this.#host.writer.binary(data);
  }

  sendPrepared(frame: PreparedFrame): Promise<void> {
    return this.#host.writer.prepared(frame);
  }

  ping(data: Uint8Array = noBytes): Promise<void> {
    if (data.length > maxControlPayload) {
      throw new UsageError(
        `a ping must have at most ${maxControlPayload} bytes (RFC 6455 §5.5), got ${data.length}`,
      );
    }
    return this.#host.writer.ping(data);
  }

  close(code: number = NORMAL_CLOSURE, reason = ""): void {
    if (!isSendableCloseCode(code))
      throw new UsageError(`a close code must be one that may be sent (RFC 6455 §7.4), got ${shown(code)}`);
    if (Buffer.byteLength(reason) > maxCloseReasonBytes) {
      throw new UsageError(`a close reason must have at most ${maxCloseReasonBytes} bytes (RFC 6455 §5.5)`);
    }
    this.#host.beginClose(code, reason);
  }

  info(): ConnectionInfo {
    return this.#host.stream.info();
  }

  // ── what the shell tells ──────────────────────────────────────────────────────────────────────────────────

  /** Calls `onInit`. Returns a promise if it does; it never rejects. */
  start(onInit: WebSocketHandler<S, M>["onInit"]): void | Promise<void> {
    const { writer } = this.#host;
    writer.cork();
    try {
      const starting = this.#user.start(onInit, this);
      if (starting !== undefined) return starting.then(() => this.#opened());
      this.#opened();
    } finally {
      writer.uncork();
    }
  }

  #opened(): void {
    if (this.#user.begun) this.#host.opened();
  }

  /** Hands a message to the handler: now, or, while it is at work, later. */
  deliver(message: WebSocketMessage<M>): void | Promise<void> {
    return this.#user.deliver(message);
  }

  /** Tells the handler, once, that the connection is closed; then the loop ends. */
  closed(code: number, reason: string): void {
    this.#reason ??= { code, reason };
    void this.#user.close(this.#reason, normalExit, { type: "closed", code, reason });
  }

  /** The connection is gone. The promise, if any, resolves when the user's code has come to its end as well. */
  ended(): void | Promise<void> {
    return this.#user.ending;
  }

  // ── what the loop asks for ────────────────────────────────────────────────────────────────────────────────

  onMessage(state: S, message: WebSocketMessage<M>): UserResult<S, M> {
    const { writer } = this.#host;
    writer.cork();
    try {
      return this.#userHandler(state, message, this);
    } finally {
      writer.uncork();
    }
  }

  onUserMessage(state: S, message: M): UserResult<S, M> {
    const { writer } = this.#host;
    const result = this.onMessage(state, { type: "user", message });
    // A packet's messages are held back by the shell; other actors' by the mailbox, which is bounded.
    if (!writer.flow.blocked || isPromiseLike(result)) return result;
    const goOn = (): UserResult<S, M> => result;
    return writer.flow.whenRoom().then(goOn, goOn);
  }

  onClose(state: S, reason: WebSocketCloseReason): unknown {
    return this.#userClose?.(state, reason);
  }

  onEnd(exit: ExitReason): WebSocketCloseReason {
    if (exit.type === "abnormal") {
      this.#reason ??= { code: INTERNAL_ERROR, reason: "", error: exit.error };
      this.#host.failed(exit.error);
    } else {
      const code = this.#host.stopped();
      this.#reason ??= { code, reason: "" };
    }
    return this.#reason;
  }

  onFault(error: unknown): void {
    this.#host.report(error);
  }
}
