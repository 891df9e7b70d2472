// A WebSocket on its connection: the protocol that takes over from HTTP behind a 101.
//
// Bytes go into the core, the core's messages go to the session one at a time, what the user sends leaves in one
// write per packet. While a handler's promise is open, or the peer takes less than it is sent, nothing is read.
//
//   state      the way out
//   opening    onInit's promise is open: packets wait
//   open       peer's Close: answered, then closed · close(), stop(): Close sent → closing
//              handler fails: 1011 · peer breaks a rule: 1002, 1007, 1009 · stop: `shutdown`, then 1001
//   closing    our Close is sent: only the peer's Close counts, for `closeTimeoutMs`
//   over       nothing is read or sent any more; the transport is closing or gone

import { Buffer } from "node:buffer";
import { type CloseReason, type Connection, type Protocol, TransportError } from "@x/glisten";
import { ProtocolError } from "../../errors.ts";
import {
  ABNORMAL_CLOSURE,
  type CloseStatus,
  GOING_AWAY,
  INTERNAL_ERROR,
  INVALID_PAYLOAD,
  NORMAL_CLOSURE,
} from "../../websocket/close-code.ts";
import {
  type CompressedMessage,
  WebSocketConnection,
  type WebSocketEvent,
} from "../../websocket/connection.ts";
import { protocolFailure } from "../../websocket/failure.ts";
import { decodeUtf8 } from "../../websocket/utf8.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { WebSocketSettings } from "./options.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";
import { type SessionHost, WebSocketSession } from "./session.ts";
import { websocketClose, websocketError, websocketOpen } from "./telemetry.ts";
import type { WebSocketHandler, WebSocketMessage } from "./websocket.ts";
import { WebSocketWriter, type WriterHost } from "./writer.ts";

type State = "opening" | "open" | "closing" | "over";

/** What the handshake agreed upon. */
export interface Agreement {
  readonly subprotocol: string | undefined;
  readonly deflate: PermessageDeflate | undefined;
}

const noBytes: Buffer = Buffer.alloc(0);

export class WebSocketShell<S, M> extends Heartbeat implements Protocol, WriterHost, SessionHost {
  readonly connection: Connection;
  readonly settings: WebSocketSettings;
  readonly writer: WebSocketWriter;
  readonly #session: WebSocketSession<S, M>;
  readonly #core: WebSocketConnection;
  readonly #onError: (error: unknown) => void;
  #state: State = "opening";
  #ready: Promise<void> | undefined;
  /** A packet is being handled that had to wait for somebody. */
  #pumping: Promise<void> | undefined;
  /** It waits for the handler: it is we who do not read. */
  #held = false;
  /** Messages that have come. */
  #received = 0;
  /** Milliseconds left when the server began to stop; -1: it has not. */
  #shutdownMs = -1;
  /** How it ended, from the moment that is settled. */
  #status: CloseStatus | undefined;

  constructor(
    connection: Connection,
    handler: Pick<WebSocketHandler<S, M>, "handler" | "onClose">,
    settings: WebSocketSettings,
    { subprotocol, deflate }: Agreement,
    onError: (error: unknown) => void,
  ) {
    super();
    this.connection = connection;
    this.settings = settings;
    this.writer = new WebSocketWriter(this, deflate);
    this.#core = new WebSocketConnection(settings, deflate !== undefined);
    this.#onError = onError;
    this.#session = new WebSocketSession(this, handler, subprotocol);
  }

  get kind(): string {
    return "websocket";
  }

  /** Begins: `onInit` is called. */
  start(onInit: WebSocketHandler<S, M>["onInit"]): void {
    if (websocketOpen.hasSubscribers) websocketOpen.publish({ websocket: this.#session });
    this.watch();
    this.#ready = this.#session.start(onInit) ?? undefined;
  }

  // ── what glisten tells ────────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void | Promise<void> {
    if (this.#state === "opening" && this.#ready !== undefined)
      return this.#ready.then(() => this.data(chunk));
    if (this.#state === "over") return;
    this.#core.receive(chunk);
    // Should a packet come although one is still being handled, it waits its turn in the core.
    return this.#pumping ?? this.#pump();
  }

  end(): void {
    // A FIN without a Close: the peer will not hear ours either (RFC 6455 §7.1.5).
    if (this.#state !== "over")
      this.#finish(ABNORMAL_CLOSURE, "the client closed the connection without a Close frame");
  }

  drain(): void {
    this.writer.drained();
  }

  shutdown(deadlineMs: number): void {
    this.#shutdownMs = deadlineMs;
    if (this.#state !== "open") return;
    const told = this.#session.deliver({ type: "shutdown" });
    const close = (): void => this.beginClose(GOING_AWAY, "the server is stopping");
    if (told === undefined) close();
    else told.then(close);
  }

  deadline(): void {
    if (this.#state === "over") return;
    if (this.#state === "closing") {
      // RFC 6455 §7.1.1: a peer that does not answer a Close is not waited for.
      this.#lose("the client did not answer the Close frame");
      return;
    }
    const held = this.#held || this.#state === "opening";
    const verdict = this.judge(this.#received, held);
    if (verdict === "ping") this.writer.ping(noBytes);
    else if (verdict === "lost") this.#lose("the client did not answer a ping");
    else if (verdict === "idle") this.beginClose(GOING_AWAY, "idle for too long");
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.writer.deflate?.close();
    this.writer.abandon();
    this.#endSession(ABNORMAL_CLOSURE, reason.type === "reset" ? reason.code : "the connection was lost");
    if (websocketClose.hasSubscribers) websocketClose.publish({ websocket: this.#session, ...this.#status });
    return this.#session.ended();
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

  #pump(): void | Promise<void> {
    const pending = this.#handOut();
    if (pending === undefined && !this.writer.blocked) return;
    this.#pumping = this.#pumpLater(pending);
    return this.#pumping;
  }

  /** Hands out what the core holds, until it needs data or somebody has to be waited for. */
  #handOut(): void | Promise<void> {
    const { writer } = this;
    writer.cork();
    try {
      for (;;) {
        const event = this.#core.next();
        if (event.type === "need-data") return;
        const pending = this.#receive(event);
        if (pending !== undefined || writer.blocked) return pending;
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
    if (this.writer.blocked) await this.writer.whenDrained().catch(ignore);
    this.#pumping = undefined;
    if (this.#state !== "over") await this.#pump();
  }

  #receive(event: Exclude<WebSocketEvent, { type: "need-data" }>): void | Promise<void> {
    switch (event.type) {
      case "text":
      case "binary":
        return this.#deliver(event);
      case "compressed":
        return this.#inflate(event);
      case "ping":
        // RFC 6455 §5.5.2: unless it already received a Close frame; nothing comes behind one.
        this.writer.pong(event.data);
        return;
      case "pong":
        return;
      case "close":
        // RFC 6455 §5.5.1: the answer to ours, or to be answered in kind.
        this.writer.close(event.code, "");
        this.#finish(event.code, event.reason);
    }
  }

  #deliver(message: WebSocketMessage<M>): void | Promise<void> {
    this.#received++;
    // Behind our Close nobody asks for messages any more.
    if (this.#state === "open") return this.#session.deliver(message);
  }

  #inflate({ data, text }: CompressedMessage): void | Promise<void> {
    const inflated = this.writer.deflate!.inflate(data);
    if (inflated instanceof Promise) return inflated.then((message) => this.#inflated(text, message));
    // Bytes that are only lent; text is decoded before the next message.
    return this.#inflated(text, text ? inflated : Buffer.from(inflated));
  }

  #inflated(text: boolean, data: Buffer): void | Promise<void> {
    if (!text) return this.#deliver({ type: "binary", data });
    const decoded = decodeUtf8(data);
    if (decoded === undefined) throw protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
    return this.#deliver({ type: "text", data: decoded });
  }

  // ── closing ───────────────────────────────────────────────────────────────────────────────────────────────

  /** We want to close: Close goes out, the peer's is waited for. */
  beginClose(code: number, reason: string): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.writer.close(code, reason);
    const { closeTimeoutMs } = this.settings;
    this.connection.setDeadline(
      this.#shutdownMs >= 0 ? Math.min(closeTimeoutMs, this.#shutdownMs) : closeTimeoutMs,
    );
  }

  /** The peer broke a rule: it is told, and not listened to any longer (RFC 6455 §7.1.7). */
  #refuse(error: unknown): void {
    if (this.#state === "over") return;
    if (!(error instanceof ProtocolError) || error.closeCode === undefined) {
      this.failed(error);
      return;
    }
    if (websocketError.hasSubscribers) websocketError.publish({ websocket: this.#session, error });
    this.writer.close(error.closeCode, error.message);
    this.#finish(error.closeCode, error.message);
  }

  /** Nothing is read any more; the transport closes when everything has left. */
  #finish(code: number, reason: string): void {
    this.#endSession(code, reason);
    this.connection.setDeadline(0);
    // A message still being compressed, and the Close behind it, must get out first.
    this.writer.whenFlushed(() => this.connection.close());
  }

  /** The peer is as good as gone. */
  #lose(reason: string): void {
    this.#endSession(ABNORMAL_CLOSURE, reason);
    this.connection.destroy();
  }

  #endSession(code: number, reason: string): void {
    this.#state = "over";
    this.#core.stop();
    this.#status ??= { code, reason };
    this.#session.closed(code, reason);
  }

  // ── what the session tells ────────────────────────────────────────────────────────────────────────────────

  opened(): void {
    // The connection may have gone, or onInit itself have closed it, in the meantime.
    if (this.#state === "over") this.#session.closed(this.#status!.code, this.#status!.reason);
    if (this.#state !== "opening") return;
    this.#state = "open";
    if (this.#shutdownMs >= 0) this.shutdown(this.#shutdownMs);
  }

  stopped(): number {
    const code = this.#shutdownMs >= 0 ? GOING_AWAY : NORMAL_CLOSURE;
    this.beginClose(code, "");
    return code;
  }

  failed(error: unknown): void {
    // A handler that stumbles over the very loss of its connection has not failed.
    if (!(this.connection.closed && error instanceof TransportError)) this.report(error);
    if (this.#state === "over") return;
    // RFC 6455 §7.4.1
    this.writer.close(INTERNAL_ERROR, "");
    this.#finish(INTERNAL_ERROR, "");
  }

  report(error: unknown): void {
    if (websocketError.hasSubscribers) websocketError.publish({ websocket: this.#session, error });
    this.#onError(error);
  }

  // ── what the writer tells ─────────────────────────────────────────────────────────────────────────────────

  overflowed(): void {
    this.#lose("the client takes nothing");
  }

  writeFailed(error: unknown): void {
    this.failed(error);
  }
}

function ignore(): void {}
