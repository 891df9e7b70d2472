// A WebSocket on its connection: the protocol that takes over from HTTP behind a 101.
//
// Bytes go into the core, the core's messages go to the user's loop one at a time, what the loop sends leaves in one
// write per packet. While a handler's promise is open, or the peer takes less than it is sent, nothing is read.
//
//   state      the way out
//   opening    onInit's promise is open: packets wait
//   open       peer's Close: answered, then closed · close(), stop(): Close sent → closing
//              handler fails: 1011 · peer breaks a rule: 1002, 1007, 1009 · stop: `shutdown`, then 1001
//   closing    our Close is sent: only the peer's Close counts, for `closeTimeoutMs`
//   over       nothing is read or sent any more; the transport is closing or gone
//
// The loop hears `closed` once, however it ended (1006 if without a Close), unless it ended first itself; then
// `onClose` is called with the last state.

import { Buffer } from "node:buffer";
import {
  type CloseReason,
  type Connection,
  type ConnectionInfo,
  type Protocol,
  TransportError,
} from "@x/glisten";
import {
  type ExitReason,
  type Initialised,
  Loop,
  type LoopResult,
  normalExit,
  OwnedSubject,
  type Selector,
  type Subject,
  splitInitialised,
} from "@x/glisten/actor";
import { ProtocolError, UsageError } from "../errors.ts";
import {
  ABNORMAL_CLOSURE,
  type CloseStatus,
  GOING_AWAY,
  INTERNAL_ERROR,
  INVALID_PAYLOAD,
  isSendableCloseCode,
  maxCloseReasonBytes,
  NORMAL_CLOSURE,
} from "../websocket/close-code.ts";
import { type CompressedMessage, WebSocketConnection, type WebSocketEvent } from "../websocket/connection.ts";
import { protocolFailure } from "../websocket/failure.ts";
import { maxControlPayload } from "../websocket/frame.ts";
import { decodeUtf8 } from "../websocket/utf8.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { PermessageDeflate } from "./permessage-deflate.ts";
import type { PreparedFrame } from "./prepared-frame.ts";
import type { WebSocket, WebSocketHandler, WebSocketMessage } from "./websocket.ts";
import type { WebSocketSettings } from "./websocket-options.ts";
import { websocketClose, websocketError, websocketOpen } from "./websocket-telemetry.ts";
import { WebSocketWriter, type WriterHost } from "./websocket-writer.ts";

/** How long a handler's open promise may outlive the connection before `onClose` no longer waits for it. */
const graceMs = 5_000;

type State = "opening" | "open" | "closing" | "over";

/** What the handshake agreed upon. */
export interface Agreement {
  readonly subprotocol: string | undefined;
  readonly deflate: PermessageDeflate | undefined;
}

export class WebSocketShell<S, M> implements Protocol, WriterHost, WebSocket<M> {
  readonly kind = "websocket";
  readonly subprotocol: string | undefined;
  readonly #connection: Connection;
  readonly #handler: WebSocketHandler<S, M>["handler"];
  readonly #onClose: WebSocketHandler<S, M>["onClose"];
  readonly #settings: WebSocketSettings;
  readonly #onError: (error: unknown) => void;
  readonly #core: WebSocketConnection;
  readonly #writer: WebSocketWriter;
  readonly #deflate: PermessageDeflate | undefined;
  readonly #heartbeat = new Heartbeat();
  #loop: Loop<S, WebSocketMessage<M>> | undefined;
  #state: State = "opening";
  #ready: Promise<void> | undefined;
  #early: M[] | undefined;
  #subject: OwnedSubject<M> | undefined;
  #received = 0;
  /** A packet is being handled that had to wait for somebody. */
  #pumping: Promise<void> | undefined;
  /** It waits for the handler: it is we who do not read. */
  #held = false;
  #shutdownMs = -1;
  /** How it ended, from the moment that is settled. */
  #status: CloseStatus | undefined;
  #closedTold = false;
  #closing: Promise<void> | undefined;

  constructor(
    connection: Connection,
    { handler, onClose }: Pick<WebSocketHandler<S, M>, "handler" | "onClose">,
    settings: WebSocketSettings,
    agreement: Agreement,
    onError: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#handler = handler;
    this.#onClose = onClose;
    this.#settings = settings;
    this.#onError = onError;
    this.subprotocol = agreement.subprotocol;
    this.#deflate = agreement.deflate;
    this.#core = new WebSocketConnection(settings, agreement.deflate !== undefined);
    this.#writer = new WebSocketWriter(connection, this, settings, agreement.deflate);
  }

  // ── the user's side ───────────────────────────────────────────────────────────────────────────────────────

  get compressed(): boolean {
    return this.#deflate !== undefined;
  }

  get open(): boolean {
    return !this.#writer.ended;
  }

  get bufferedAmount(): number {
    return this.#writer.bufferedAmount;
  }

  get subject(): Subject<M> {
    this.#subject ??= new OwnedSubject<M>((message) => this.#user(message));
    if (this.#status !== undefined) this.#subject.close(normalExit);
    return this.#subject;
  }

  sendText(data: string): Promise<void> {
    if (typeof data !== "string") throw new UsageError("sendText takes a string");
    return this.#writer.text(data);
  }

  sendBinary(data: Uint8Array): Promise<void> {
    if (!(data instanceof Uint8Array)) throw new UsageError("sendBinary takes a Uint8Array");
    return this.#writer.binary(data);
  }

  sendPrepared(frame: PreparedFrame): Promise<void> {
    return this.#writer.prepared(frame);
  }

  ping(data: Uint8Array = noBytes): Promise<void> {
    if (data.length > maxControlPayload) {
      throw new UsageError(`a ping carries at most ${maxControlPayload} bytes (RFC 6455 §5.5)`);
    }
    return this.#writer.ping(data);
  }

  close(code: number = NORMAL_CLOSURE, reason = ""): void {
    if (!isSendableCloseCode(code))
      throw new UsageError(`close code ${code} may not be sent (RFC 6455 §7.4)`);
    if (Buffer.byteLength(reason) > maxCloseReasonBytes) {
      throw new UsageError(`a close reason has at most ${maxCloseReasonBytes} bytes (RFC 6455 §5.5)`);
    }
    this.#beginClose(code, reason);
  }

  info(): ConnectionInfo {
    return this.#connection.info();
  }

  // ── opening ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Calls `onInit`. */
  start(onInit: WebSocketHandler<S, M>["onInit"]): void {
    if (websocketOpen.hasSubscribers) websocketOpen.publish({ websocket: this });
    this.#heartbeat.start(this.#connection, this.#settings);
    this.#writer.cork();
    try {
      const initialised = onInit(this);
      if (initialised instanceof Promise) this.#ready = this.#openLater(initialised);
      else this.#opened(initialised);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#writer.uncork();
    }
  }

  async #openLater(initialising: Promise<Initialised<S, M>>): Promise<void> {
    try {
      this.#opened(await initialising);
    } catch (error) {
      this.#failed(error);
    }
  }

  #opened(initialised: Initialised<S, M>): void {
    this.#ready = undefined;
    const { state, selector } = splitInitialised<S, M>(initialised);
    const { maxMailbox, overflow } = this.#settings;
    this.#loop = new Loop<S, WebSocketMessage<M>>({
      state,
      handle: (current, message) => this.#handle(current, message),
      selector: selector === undefined ? undefined : asUserMessages(selector),
      onExit: (reason, last) => this.#exited(reason, last),
      ...(maxMailbox === undefined ? {} : { maxMailbox }),
      ...(overflow === undefined ? {} : { overflow }),
    });
    // The connection may have gone, or been closed by onInit itself, in the meantime.
    const gone = this.#state === "over";
    if (this.#state === "opening") this.#state = "open";
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.#loop.postAll(early.map((message) => ({ type: "user", message })));
    if (gone) this.#tellClosed(ABNORMAL_CLOSURE, "");
    else if (this.#shutdownMs >= 0) this.shutdown(this.#shutdownMs);
  }

  // ── what glisten tells ────────────────────────────────────────────────────────────────────────────────────

  data(chunk: Buffer): void | Promise<void> {
    if (this.#ready !== undefined) return this.#ready.then(() => this.data(chunk));
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
    this.#writer.drained();
  }

  shutdown(deadlineMs: number): void {
    this.#shutdownMs = deadlineMs;
    if (this.#state !== "open") return;
    const told = this.#loop?.deliver({ type: "shutdown" });
    const close = (): void => this.#beginClose(GOING_AWAY, "the server is stopping");
    if (told === undefined) close();
    else told.then(close);
  }

  deadline(): void {
    if (this.#state === "closing") {
      // RFC 6455 §7.1.1: a peer that does not answer a Close is not waited for.
      this.#lose("the client did not answer the Close frame");
      return;
    }
    if (this.#state === "over") return;
    const held = this.#held || this.#state === "opening";
    switch (this.#heartbeat.due(this.#connection, this.#settings, this.#received, held)) {
      case "ping":
        this.#writer.ping(noBytes);
        break;
      case "lost":
        this.#lose("the client did not answer a ping");
        break;
      case "idle":
        this.#beginClose(GOING_AWAY, "idle for too long");
        break;
    }
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.#state = "over";
    this.#core.stop();
    this.#deflate?.close();
    this.#writer.abandon();
    this.#tellClosed(ABNORMAL_CLOSURE, reason.type === "reset" ? reason.code : "the connection was lost");
    this.#subject?.close(normalExit);
    if (websocketClose.hasSubscribers) websocketClose.publish({ websocket: this, ...this.#status });
    const loop = this.#loop;
    if (loop === undefined || !loop.alive) return this.#closing;
    return this.#outlive(loop);
  }

  /** The handler's last promise is still open: it has a moment to settle. */
  #outlive(loop: Loop<S, WebSocketMessage<M>>): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        loop.stop(normalExit);
        resolve();
      }, graceMs);
      this.#closing?.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────

  #pump(): void | Promise<void> {
    const pending = this.#handOut();
    if (pending === undefined && !this.#writer.blocked) return;
    this.#pumping = this.#pumpLater(pending);
    return this.#pumping;
  }

  /** Hands out what the core holds, until it needs data or somebody has to be waited for. */
  #handOut(): void | Promise<void> {
    const writer = this.#writer;
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
    if (this.#writer.blocked) await this.#writer.whenDrained().catch(ignore);
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
        this.#writer.pong(event.data);
        return;
      case "pong":
        return;
      case "close":
        return this.#peerCloses(event.code, event.reason);
    }
  }

  #deliver(message: WebSocketMessage<M>): void | Promise<void> {
    this.#received++;
    // Behind our Close nobody asks for messages any more.
    if (this.#state === "open") return this.#loop?.deliver(message);
  }

  #inflate(message: CompressedMessage): void | Promise<void> {
    const inflated = this.#deflate!.inflate(message.data);
    if (!(inflated instanceof Promise)) return this.#inflated(message.text, inflated, true);
    return inflated.then((data) => this.#inflated(message.text, data, false));
  }

  #inflated(text: boolean, data: Buffer, borrowed: boolean): void | Promise<void> {
    if (!text) return this.#deliver({ type: "binary", data: borrowed ? Buffer.from(data) : data });
    const decoded = decodeUtf8(data);
    if (decoded === undefined) throw protocolFailure(INVALID_PAYLOAD, "text is not UTF-8", "8.1");
    return this.#deliver({ type: "text", data: decoded });
  }

  #user(message: M): void {
    if (this.#loop !== undefined) this.#loop.post({ type: "user", message });
    else if (this.#state === "opening") {
      this.#early ??= [];
      this.#early.push(message);
    }
  }

  #handle(
    state: S,
    message: WebSocketMessage<M>,
  ): LoopResult<S, WebSocketMessage<M>> | Promise<LoopResult<S, WebSocketMessage<M>>> {
    const writer = this.#writer;
    writer.cork();
    let result: LoopResult<S, M> | Promise<LoopResult<S, M>>;
    try {
      result = this.#handler(state, message, this);
    } finally {
      writer.uncork();
    }
    if (result instanceof Promise) return result.then(withUserMessages<S, M>);
    const answer = result === undefined ? undefined : withUserMessages<S, M>(result);
    // A packet's messages are held back by the pump; other actors' by the mailbox, which the user can bound.
    if (message.type !== "user" || !writer.blocked) return answer;
    return writer.whenDrained().then(
      () => answer,
      () => answer,
    );
  }

  // ── closing ───────────────────────────────────────────────────────────────────────────────────────────────

  /** We want to close: Close goes out, the peer's is waited for. */
  #beginClose(code: number, reason: string): void {
    if (this.#state === "closing" || this.#state === "over") return;
    this.#state = "closing";
    this.#writer.close(code, reason);
    const { closeTimeoutMs } = this.#settings;
    this.#connection.setDeadline(
      this.#shutdownMs >= 0 ? Math.min(closeTimeoutMs, this.#shutdownMs) : closeTimeoutMs,
    );
  }

  /** The peer's Close: the answer to ours, or to be answered (RFC 6455 §5.5.1). */
  #peerCloses(code: number, reason: string): void {
    this.#writer.close(code, "");
    this.#finish(code, reason);
  }

  /** The peer broke a rule: it is told, and not listened to any longer (RFC 6455 §7.1.7). */
  #refuse(error: unknown): void {
    if (this.#state === "over") return;
    if (!(error instanceof ProtocolError) || error.closeCode === undefined) {
      this.#failed(error);
      return;
    }
    if (websocketError.hasSubscribers) websocketError.publish({ websocket: this, error });
    this.#writer.close(error.closeCode, error.message);
    this.#finish(error.closeCode, error.message);
  }

  /** Nothing is read any more; the transport closes when everything has left. */
  #finish(code: number, reason: string): void {
    this.#state = "over";
    this.#core.stop();
    this.#tellClosed(code, reason);
    this.#closeTransport();
  }

  #closeTransport(): void {
    this.#connection.setDeadline(0);
    // A message still being compressed, and the Close behind it, must get out first.
    this.#writer.whenFlushed(() => this.#connection.close());
  }

  /** The peer is as good as gone. */
  #lose(reason: string): void {
    this.#state = "over";
    this.#core.stop();
    this.#tellClosed(ABNORMAL_CLOSURE, reason);
    this.#connection.destroy();
  }

  /** Tells the loop, once, how it ended; then the loop ends. */
  #tellClosed(code: number, reason: string): void {
    this.#status ??= { code, reason };
    const loop = this.#loop;
    if (this.#closedTold || loop === undefined) return;
    this.#closedTold = true;
    if (!loop.alive) return;
    const told = loop.deliver({ type: "closed", code, reason });
    if (told === undefined) loop.stop(normalExit);
    else this.#closing = told.then(() => loop.stop(normalExit));
  }

  /** The loop has ended: of its own accord, by a failure, or because the connection did. */
  #exited(reason: ExitReason, state: S): void {
    if (reason.type === "abnormal") this.#failed(reason.error);
    else this.#beginClose(this.#shutdownMs >= 0 ? GOING_AWAY : NORMAL_CLOSURE, "");
    this.#subject?.close(reason);
    const onClose = this.#onClose;
    if (onClose === undefined) return;
    try {
      const pending = onClose(state);
      if (pending instanceof Promise) this.#closing = pending.catch((error: unknown) => this.#report(error));
    } catch (error) {
      this.#report(error);
    }
  }

  /** The user's code failed: reported once, and the client is told 1011 (RFC 6455 §7.4.1). */
  #failed(error: unknown): void {
    this.#ready = undefined;
    // A handler that stumbles over the very loss of its connection has not failed.
    if (!(this.#connection.closed && error instanceof TransportError)) this.#report(error);
    if (this.#state === "over") return;
    this.#status ??= { code: INTERNAL_ERROR, reason: "" };
    this.#writer.close(INTERNAL_ERROR, "");
    this.#state = "over";
    this.#core.stop();
    this.#closeTransport();
  }

  #report(error: unknown): void {
    if (websocketError.hasSubscribers) websocketError.publish({ websocket: this, error });
    this.#onError(error);
  }

  // ── what the writer tells ─────────────────────────────────────────────────────────────────────────────────

  overflowed(): void {
    this.#lose("the client takes nothing");
  }

  writeFailed(error: unknown): void {
    this.#failed(error);
  }
}

const noBytes: Buffer = Buffer.alloc(0);

function ignore(): void {}

function asUserMessages<M>(selector: Selector<M>): Selector<WebSocketMessage<M>> {
  return selector.map((message): WebSocketMessage<M> => ({ type: "user", message }));
}

/** A handler speaks of its own messages; the loop carries them among others. */
function withUserMessages<S, M>(result: LoopResult<S, M>): LoopResult<S, WebSocketMessage<M>> {
  if (result?.selector === undefined) return result as LoopResult<S, never>;
  return result.withSelector(asUserMessages(result.selector));
}
