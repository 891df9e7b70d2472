// The user's side of a WebSocket: what the handler holds in its hand, and the loop that calls it.
//
// Owns `onInit` before the first message, one message at a time, the `closed` message once (unless the loop ended
// first itself), `onClose` once with the last state. The transport and the closing handshake are the shell's.

import { Buffer } from "node:buffer";
import type { Connection, ConnectionInfo } from "@x/glisten";
import {
  type ExitReason,
  continue as goOn,
  type Initialised,
  Loop,
  type LoopResult,
  normalExit,
  OwnedSubject,
  type Selector,
  type Subject,
  splitInitialised,
} from "@x/glisten/actor";
import { UsageError } from "../../errors.ts";
import { isSendableCloseCode, maxCloseReasonBytes, NORMAL_CLOSURE } from "../../websocket/close-code.ts";
import { maxControlPayload } from "../../websocket/frame.ts";
import type { WebSocketSettings } from "./options.ts";
import type { PreparedFrame } from "./prepared-frame.ts";
import type { WebSocket, WebSocketHandler, WebSocketMessage } from "./websocket.ts";
import type { WebSocketWriter } from "./writer.ts";

/** How long a handler's open promise may outlive the connection before `onClose` no longer waits for it. */
const graceMs = 5_000;

const noBytes: Buffer = Buffer.alloc(0);

/** What a session tells the shell. */
export interface SessionHost {
  readonly connection: Connection;
  readonly settings: WebSocketSettings;
  readonly writer: WebSocketWriter;
  /** `onInit` is done. */
  opened(): void;
  /** The user wants to close. */
  beginClose(code: number, reason: string): void;
  /** The loop has ended of its own accord. */
  stopped(): void;
  /** The user's code failed, and with it the connection. */
  failed(error: unknown): void;
  /** The user's code failed, with no consequence but that it is told. */
  report(error: unknown): void;
}

export class WebSocketSession<S, M> implements WebSocket<M> {
  readonly subprotocol: string | undefined;
  readonly #host: SessionHost;
  readonly #handler: WebSocketHandler<S, M>["handler"];
  readonly #onClose: WebSocketHandler<S, M>["onClose"];
  #loop: UserLoop<S, M> | undefined;
  /** The user's state. The loop's is the session, so that all loops share one pair of functions. */
  #state: S | undefined;
  /** User messages that came before the loop did. */
  #early: M[] | undefined;
  #subject: OwnedSubject<M> | undefined;
  #over = false;
  /** The handler or `onClose` is still at it, although all is over. */
  #ending: Promise<void> | undefined;

  constructor(
    host: SessionHost,
    { handler, onClose }: Pick<WebSocketHandler<S, M>, "handler" | "onClose">,
    subprotocol: string | undefined,
  ) {
    this.#host = host;
    this.#handler = handler;
    this.#onClose = onClose;
    this.subprotocol = subprotocol;
  }

  // ── what the user may call ────────────────────────────────────────────────────────────────────────────────

  get compressed(): boolean {
    return this.#host.writer.deflate !== undefined;
  }

  get open(): boolean {
    return !this.#host.writer.ended;
  }

  get bufferedAmount(): number {
    return this.#host.writer.bufferedAmount;
  }

  get subject(): Subject<M> {
    this.#subject ??= new OwnedSubject<M>((message) => this.#user(message));
    if (this.#over) this.#subject.close(normalExit);
    return this.#subject;
  }

  sendText(data: string): Promise<void> {
    if (typeof data !== "string") throw new UsageError("sendText takes a string");
    return this.#host.writer.text(data);
  }

  sendBinary(data: Uint8Array): Promise<void> {
    if (!(data instanceof Uint8Array)) throw new UsageError("sendBinary takes a Uint8Array");
    return this.#host.writer.binary(data);
  }

  sendPrepared(frame: PreparedFrame): Promise<void> {
    return this.#host.writer.prepared(frame);
  }

  ping(data: Uint8Array = noBytes): Promise<void> {
    if (data.length > maxControlPayload) {
      throw new UsageError(`a ping carries at most ${maxControlPayload} bytes (RFC 6455 §5.5)`);
    }
    return this.#host.writer.ping(data);
  }

  close(code: number = NORMAL_CLOSURE, reason = ""): void {
    if (!isSendableCloseCode(code))
      throw new UsageError(`close code ${code} may not be sent (RFC 6455 §7.4)`);
    if (Buffer.byteLength(reason) > maxCloseReasonBytes) {
      throw new UsageError(`a close reason has at most ${maxCloseReasonBytes} bytes (RFC 6455 §5.5)`);
    }
    this.#host.beginClose(code, reason);
  }

  info(): ConnectionInfo {
    return this.#host.connection.info();
  }

  // ── what the shell calls ──────────────────────────────────────────────────────────────────────────────────

  /** Calls `onInit`. Returns a promise if it does; it never rejects. */
  start(onInit: WebSocketHandler<S, M>["onInit"]): void | Promise<void> {
    const { writer } = this.#host;
    writer.cork();
    try {
      const initialised = onInit(this);
      if (initialised instanceof Promise) return this.#openLater(initialised);
      this.#opened(initialised);
    } catch (error) {
      this.#host.failed(error);
    } finally {
      writer.uncork();
    }
  }

  /** Hands a message to the handler: now, or, while it is at work, later. */
  deliver(message: WebSocketMessage<M>): void | Promise<void> {
    return this.#loop?.deliver(message);
  }

  /** Tells the handler, once, that the connection is closed; then the loop ends. */
  closed(code: number, reason: string): void {
    this.#over = true;
    this.#early = undefined;
    const loop = this.#loop;
    if (!loop?.alive || this.#ending !== undefined) return;
    const told = loop.deliver({ type: "closed", code, reason });
    if (told === undefined) loop.stop(normalExit);
    else this.#ending = told.then(() => loop.stop(normalExit));
  }

  /** The connection is gone. The promise, if any, resolves when the user's code has come to its end as well. */
  ended(): void | Promise<void> {
    this.#subject?.close(normalExit);
    const loop = this.#loop;
    return loop?.alive ? this.#outlive(loop) : this.#ending;
  }

  /** The handler's last promise is still open: it has a moment to settle. */
  #outlive(loop: UserLoop<S, M>): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        loop.stop(normalExit);
        resolve();
      }, graceMs);
      this.#ending?.then(() => {
        clearTimeout(timer);
        resolve(this.#ending);
      });
    });
  }

  // ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

  async #openLater(initialising: Promise<Initialised<S, M>>): Promise<void> {
    try {
      this.#opened(await initialising);
    } catch (error) {
      this.#host.failed(error);
    }
  }

  #opened(initialised: Initialised<S, M>): void {
    const { state, selector } = splitInitialised<S, M>(initialised);
    const { maxMailbox, overflow } = this.#host.settings;
    this.#state = state;
    const loop: UserLoop<S, M> = new Loop({
      state: this,
      handle: WebSocketSession.#handle<S, M>,
      selector: selector === undefined ? undefined : asUserMessages(selector),
      onExit: WebSocketSession.#exited<S, M>,
      ...(maxMailbox === undefined ? {} : { maxMailbox }),
      ...(overflow === undefined ? {} : { overflow }),
    });
    this.#loop = loop;
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) loop.postAll(early.map((message) => ({ type: "user", message })));
    this.#host.opened();
  }

  #user(message: M): void {
    if (this.#loop !== undefined) this.#loop.post({ type: "user", message });
    else if (!this.#over) {
      this.#early ??= [];
      this.#early.push(message);
    }
  }

  static #handle<S, M>(session: WebSocketSession<S, M>, message: WebSocketMessage<M>): UserResult<S, M> {
    return session.#call(message);
  }

  #call(message: WebSocketMessage<M>): UserResult<S, M> {
    const { writer } = this.#host;
    writer.cork();
    let result: LoopResult<S, M> | Promise<LoopResult<S, M>>;
    try {
      result = this.#handler(this.#state as S, message, this);
    } finally {
      writer.uncork();
    }
    if (result instanceof Promise) return result.then((late) => this.#answer(late));
    const answer = result === undefined ? undefined : this.#answer(result);
    // A packet's messages are held back by the shell; other actors' by the mailbox, which the user can bound.
    if (message.type !== "user" || !writer.blocked) return answer;
    return writer.whenDrained().then(
      () => answer,
      () => answer,
    );
  }

  /** Takes the new state out of a handler's answer. The handler speaks of its own messages, the loop of others, too. */
  #answer(result: LoopResult<S, M>): UserAnswer<S, M> {
    if (result?.kind !== "continue") return result as LoopResult<never, never>;
    this.#state = result.state as S;
    if (result.selector === undefined) return;
    return goOn(this as WebSocketSession<S, M>).withSelector(asUserMessages(result.selector));
  }

  static #exited<S, M>(reason: ExitReason, session: WebSocketSession<S, M>): void {
    session.#exit(reason);
  }

  /** The loop has ended: of its own accord, by a failure, or because the connection did. */
  #exit(reason: ExitReason): void {
    if (reason.type === "abnormal") this.#host.failed(reason.error);
    else this.#host.stopped();
    this.#over = true;
    this.#subject?.close(reason);
    const onClose = this.#onClose;
    if (onClose === undefined) return;
    try {
      const closing = onClose(this.#state as S);
      if (closing instanceof Promise)
        this.#ending = closing.catch((error: unknown) => this.#host.report(error));
    } catch (error) {
      this.#host.report(error);
    }
  }
}

type UserLoop<S, M> = Loop<WebSocketSession<S, M>, WebSocketMessage<M>>;
type UserAnswer<S, M> = LoopResult<WebSocketSession<S, M>, WebSocketMessage<M>>;
type UserResult<S, M> = UserAnswer<S, M> | Promise<UserAnswer<S, M>>;

function asUserMessages<M>(selector: Selector<M>): Selector<WebSocketMessage<M>> {
  return selector.map((message): WebSocketMessage<M> => ({ type: "user", message }));
}
