// A WebSocket on its byte stream: the protocol that takes over from HTTP behind the handshake.
//
// Moves bytes between the stream and the core (websocket/connection.ts), messages from the core to the session, one at
// a time, and tells the core what time has done. While a handler's promise is open, or the peer takes less than it is
// sent, nothing is read.

import { Buffer } from "node:buffer";
import { type CloseReason, type Protocol, TransportError } from "@x/glisten";
import { ignore } from "@x/glisten/kit";
import {
  type CloseStatus,
  GOING_AWAY,
  INTERNAL_ERROR,
  INVALID_PAYLOAD,
  NORMAL_CLOSURE,
} from "../../websocket/close-code.ts";
import { WebSocketConnection } from "../../websocket/connection.ts";
import { isFailure, protocolFailure } from "../../websocket/failure.ts";
import type { CompressedMessage } from "../../websocket/message.ts";
import { decodeUtf8 } from "../../websocket/utf8.ts";
import type { UpgradeHost } from "../body/response-body.ts";
import type { ByteStream } from "../exchange/byte-stream.ts";
import type { WebSocket, WebSocketHandler, WebSocketMessage } from "./handler.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { WebSocketSettings } from "./options.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";
import { type SessionHost, WebSocketSession } from "./session.ts";
import { WebSocketWriter, type WriterHost } from "./writer.ts";

/** What the handshake agreed upon. */
export interface Agreement {
  readonly subprotocol: string | undefined;
  readonly deflate: PermessageDeflate | undefined;
}

const noBytes: Buffer = Buffer.alloc(0);

export class WebSocketShell<S, M> extends Heartbeat implements Protocol, WriterHost, SessionHost {
  readonly stream: ByteStream;
  readonly settings: WebSocketSettings;
  readonly core: WebSocketConnection;
  readonly writer: WebSocketWriter;
  readonly #session: WebSocketSession<S, M>;
  readonly #server: UpgradeHost;
  /** Somebody is waited for before the core is asked for more. */
  #pumping: Promise<void> | undefined;
  /** It is the user's code. */
  #held = false;
  /** Milliseconds left when the server began to stop; -1: it has not. */
  #shutdownMs = -1;

  constructor(
    stream: ByteStream,
    handler: Pick<WebSocketHandler<S, M>, "handler" | "onClose">,
    settings: WebSocketSettings,
    { subprotocol, deflate }: Agreement,
    server: UpgradeHost,
  ) {
    super();
    this.stream = stream;
    this.settings = settings;
    this.core = new WebSocketConnection(settings, deflate !== undefined);
    this.writer = new WebSocketWriter(this, deflate);
    this.#server = server;
    this.#session = new WebSocketSession(this, handler, subprotocol);
  }

  /** As the events show it, to listeners that know nothing of its messages. */
  get #websocket(): WebSocket<never> {
    return this.#session as unknown as WebSocket<never>;
  }

  get kind(): string {
    return "websocket";
  }

  /** Begins: `onInit` is called. */
  start(onInit: WebSocketHandler<S, M>["onInit"]): void {
    const opened = this.#server.events["websocket:open"];
    if (opened.wanted) opened.publish({ websocket: this.#websocket });
    this.watch();
    const opening = this.#session.start(onInit);
    if (opening !== undefined) this.#pumping = this.#pumpLater(opening);
  }

  // ── what the stream tells ─────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void | Promise<void> {
    if (this.core.writable) this.heard();
    this.core.receive(chunk);
    // Should a packet come although one is still being handled, it waits its turn in the core.
    return this.#pumping ?? this.#pump();
  }

  end(): void {
    this.core.receiveEnd();
    this.#settle();
    this.writer.flush();
  }

  drain(): void {
    this.writer.drained();
  }

  shutdown(deadlineMs: number): void {
    this.#shutdownMs = deadlineMs;
    if (this.core.state !== "open") return;
    const told = this.#session.deliver({ type: "shutdown" });
    const close = (): void => this.beginClose(GOING_AWAY, "the server is stopping");
    if (told === undefined) close();
    else told.then(close);
  }

  deadline(): void {
    if (this.core.state === "closed") return;
    if (this.core.state === "closing") {
      // RFC 6455 §7.1.1: a peer that does not answer a Close is not waited for.
      this.#lose("the client did not answer the Close frame", "closeTimeoutMs");
      return;
    }
    const verdict = this.judge(this.#held);
    if (verdict === "ping") this.writer.ping(noBytes);
    else if (verdict === "lost") this.#lose("the client did not answer a ping", "pongTimeoutMs");
    else if (verdict === "idle") this.beginClose(GOING_AWAY, "idle for too long");
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.writer.deflate?.close();
    this.writer.abandon();
    this.core.lose(lossOf(reason));
    this.#settle();
    const gone = this.#server.events["websocket:close"];
    // `core.lose` has settled the status.
    if (gone.wanted) gone.publish({ websocket: this.#websocket, ...(this.core.status as CloseStatus) });
    return this.#session.ended();
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

  #pump(): void | Promise<void> {
    const pending = this.#handOut();
    if (pending === undefined && !this.writer.flow.blocked) return;
    this.#pumping = this.#pumpLater(pending);
    return this.#pumping;
  }

  /** Hands out what the core holds, until it needs data or somebody has to be waited for. */
  #handOut(): void | Promise<void> {
    const { core, writer } = this;
    writer.cork();
    try {
      while (!writer.flow.blocked) {
        const event = core.next();
        let pending: void | Promise<void>;
        switch (event.type) {
          case "need-data":
            return;
          case "text":
          case "binary":
            pending = this.#deliver(event);
            break;
          case "compressed":
            pending = this.#inflate(event);
            break;
          case "failed":
            this.#publish(event.error);
            this.#settle();
            return;
          case "close":
            this.#settle();
            return;
        }
        if (pending !== undefined) return pending;
      }
    } catch (error) {
      this.#refuse(error);
    } finally {
      writer.uncork();
    }
  }

  async #pumpLater(pending: void | Promise<void>): Promise<void> {
    if (pending !== undefined) {
      this.#held = true;
      try {
        await pending;
      } catch (error) {
        this.#refuse(error);
      }
      this.#held = false;
    }
    // The connection going away frees whoever waits here.
    if (this.writer.flow.blocked) await this.writer.flow.whenRoom().catch(ignore);
    this.#pumping = undefined;
    if (this.core.state !== "closed") await this.#pump();
  }

  #deliver(message: WebSocketMessage<M>): void | Promise<void> {
    this.heardMessage();
    return this.#session.deliver(message);
  }

  #inflate({ data, text }: CompressedMessage): void | Promise<void> {
    const inflated = this.writer.deflate!.inflate(data);
    if (inflated instanceof Promise) return inflated.then((message) => this.#inflated(text, message));
    // Bytes that are only lent; text is decoded before the next message.
    return this.#inflated(text, text ? inflated : Buffer.from(inflated));
  }

  #inflated(text: boolean, data: Buffer): void | Promise<void> {
    // Behind our Close nobody asks for messages any more.
    if (this.core.state !== "open") return;
    if (!text) return this.#deliver({ type: "binary", data });
    const decoded = decodeUtf8(data);
    if (decoded === undefined) throw protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
    return this.#deliver({ type: "text", data: decoded });
  }

  // ── closing ───────────────────────────────────────────────────────────────────────────────────────────────

  /** We want to close: Close goes out, the peer's is waited for. */
  beginClose(code: number, reason: string): void {
    if (!this.core.writable) return;
    this.writer.close(code, reason);
    const { closeTimeoutMs } = this.settings;
    this.stream.setDeadline(
      this.#shutdownMs >= 0 ? Math.min(closeTimeoutMs, this.#shutdownMs) : closeTimeoutMs,
    );
  }

  /** A message cannot be inflated, is no text, or our own code is at fault. */
  #refuse(error: unknown): void {
    if (!isFailure(error)) {
      this.failed(error);
      return;
    }
    if (this.core.state === "closed") return;
    this.#publish(error);
    this.#fail(error.closeCode, error.message);
  }

  #fail(code: number, reason: string): void {
    this.writer.cork();
    this.core.fail(code, reason);
    this.#settle();
    this.writer.uncork();
  }

  /** The peer is as good as gone. `deadline` names the one it has missed. */
  #lose(reason: string, deadline?: string): void {
    this.core.lose(reason);
    this.writer.abandon();
    this.#settle();
    this.stream.reset(deadline);
  }

  /** How it ended is settled: the handler hears of it. What waits still leaves. */
  #settle(): void {
    const { status } = this.core;
    if (status === undefined) return;
    this.stream.setDeadline(0);
    this.#session.closed(status.code, status.reason);
  }

  // ── what the session tells ────────────────────────────────────────────────────────────────────────────────

  opened(): void {
    this.core.open();
    // The connection may have gone, or onInit itself have closed it, in the meantime.
    this.#settle();
    if (this.#shutdownMs >= 0) this.shutdown(this.#shutdownMs);
  }

  stopped(): number {
    const code = this.#shutdownMs >= 0 ? GOING_AWAY : NORMAL_CLOSURE;
    this.beginClose(code, "");
    return code;
  }

  failed(error: unknown): void {
    // A handler that stumbles over the very loss of its connection has not failed.
    if (!(this.stream.closed && error instanceof TransportError)) this.report(error);
    // RFC 6455 §7.4.1
    if (this.core.state !== "closed") this.#fail(INTERNAL_ERROR, "");
  }

  report(error: unknown): void {
    this.#publish(error);
    this.#server.onError(error);
  }

  #publish(error: unknown): void {
    const failed = this.#server.events["websocket:error"];
    if (failed.wanted) failed.publish({ websocket: this.#websocket, error });
  }

  // ── what the writer tells ─────────────────────────────────────────────────────────────────────────────────

  overflowed(): void {
    this.#lose("the client takes nothing");
  }

  writeFailed(error: unknown): void {
    this.report(error);
    this.#lose("a message could not be compressed");
  }
}

/** Why no Close frame came. */
function lossOf(reason: CloseReason): string {
  if (reason.type === "reset") return reason.code;
  return reason.type === "deadline" ? "the client takes nothing" : "the connection was lost";
}
