// The loop behind a streamed response: what event streams and chunked responses have in common.
//
// Owns that nothing further is handled while the client takes less than it is sent, and what an end of the loop means
// for the response, and the other way round. The loop's life is the user loop's, the response's is the stream's.

import { type CloseReason, TransportError } from "@x/glisten";
import {
  type ExitReason,
  type Initialised,
  type MailboxLimits,
  normalExit,
  type Subject,
  UserLoop,
  type UserResult,
} from "@x/glisten/actor";
import { checkFunctions, checkMailboxLimits, checkNames, mailboxOptions, shown } from "@x/glisten/kit";
import { UsageError } from "../../errors.ts";
import { checkRequest } from "../../http/request.ts";
import { defaultMaxMailbox } from "../../options.ts";
import type { ResponseStream } from "../body/response-stream.ts";
import { inEnteredContext } from "../exchange/async-context.ts";

/** The user's half of a streamed response. `Writer` is what it sends with, `First` what `init` is given. */
export interface StreamHandler<State, Message, Writer, First = Writer> extends MailboxLimits {
  /** Makes the first state, or the state and a selector of sources to hear. May send at once. */
  readonly init: (writer: First) => Initialised<State, Message> | PromiseLike<Initialised<State, Message>>;
  /**
   * Handles a message sent to `writer.subject` or by a source. Returns `continue(state)`, `stop()`,
   * `stopAbnormal(reason)`, or undefined to go on with the state unchanged.
   */
  readonly loop: (state: State, message: Message, writer: Writer) => UserResult<State, Message>;
  /** Told that the server is stopping; its answer counts like the loop's. */
  readonly onShutdown?:
    | ((state: State, writer: Writer, deadlineMs: number) => UserResult<State, Message>)
    | undefined;
  /**
   * Called once with the last state, and how the response ended. Not called if `init` failed. Sees the state that a
   * pending handler leaves, if that settles within 5 seconds.
   */
  readonly onClose?: ((state: State, reason: CloseReason) => unknown) | undefined;
  /** User messages that may wait for the loop: an integer of at least 1, or `Infinity`. Default 1000. */
  readonly maxMailbox?: number | undefined;
}

const commonOptions = ["request", "init", "loop", "onShutdown", "onClose", "maxBufferedBytes"];

/** Refuses a handler that lacks a function, and options that are none of these. @throws UsageError */
export function checkStreamOptions(where: string, options: object, own: readonly string[]): void {
  checkNames(where, options, [...own, ...commonOptions, ...mailboxOptions]);
  const { request, maxBufferedBytes } = options as {
    readonly request?: unknown;
    readonly maxBufferedBytes?: unknown;
  };
  if (
    maxBufferedBytes !== undefined &&
    !(Number.isSafeInteger(maxBufferedBytes) && Number(maxBufferedBytes) >= 0)
  )
    throw new UsageError(`maxBufferedBytes must be an integer of at least 0, got ${shown(maxBufferedBytes)}`);
  checkRequest(request);
  checkFunctions(options, ["init", "loop"], ["onShutdown", "onClose"]);
  checkMailboxLimits(options as MailboxLimits);
}

/** A streamed response and its loop. Subclasses are what the loop sends with. */
// An ActorBodyWriter and a LoopHost, which it does not say: the published declarations leave out what is internal.
export abstract class StreamActor<State, Message> {
  protected readonly stream: ResponseStream;
  readonly #user: UserLoop<State, never, Message, CloseReason>;
  #handler: StreamHandler<State, Message, this> | undefined;
  #stopping = false;
  #over = false;
  /** How the loop ended. */
  #reason: CloseReason | undefined;
  /** A send the client has not caught up with. */
  #pending: Promise<void> | undefined;

  /** @internal */
  constructor(stream: ResponseStream, { maxMailbox = defaultMaxMailbox, overflow }: MailboxLimits) {
    this.stream = stream;
    this.#user = new UserLoop<State, never, Message, CloseReason>(this, { maxMailbox, overflow });
  }

  /** Where other actors send this response's messages. */
  get subject(): Subject<Message> {
    return this.#user.subject;
  }

  /** Bytes sent and not yet taken by the kernel. */
  get bufferedAmount(): number {
    return this.stream.bufferedAmount;
  }

  /** False once the response is over: sends are refused. */
  get open(): boolean {
    return this.stream.open;
  }

  /** True while the client takes less than it is sent. The promise of the last send resolves when it has caught up. */
  get blocked(): boolean {
    return this.stream.blocked;
  }

  /** Breaks the response off. @internal */
  breakOff(): void {
    this.stream.abort();
  }

  /** Whether the loop has yet to end. */
  protected get running(): boolean {
    return this.#user.alive;
  }

  /** Calls `init`. */
  protected run(handler: StreamHandler<State, Message, this>): void {
    this.#handler = inEnteredContext(handler, ["init", "loop", "onShutdown", "onClose"]);
    void this.#user.start(this.#handler.init, this);
  }

  /** Sends, and remembers if the client does not keep up. */
  protected put(data: string | Uint8Array): Promise<void> {
    const sent = this.stream.send(data);
    if (this.stream.blocked) this.#waitFor(sent);
    return sent;
  }

  /** The loop has said `stop()`, or has been told that the server is stopping. */
  protected abstract finish(stopping: boolean): void;

  #waitFor(sent: Promise<void>): void {
    const settle = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    const pending = sent.then(settle, settle);
    this.#pending = pending;
  }

  // ── what the server tells ─────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  shutdown(deadlineMs: number): void {
    this.#stopping = true;
    const told = this.#user.shutdown(deadlineMs);
    if (told === undefined) this.finish(true);
    else void told.then(() => this.finish(true));
  }

  /** @internal */
  closed(error?: unknown): void {
    this.#over = true;
    const lost = error instanceof TransportError && error.code !== "closed";
    this.#reason ??= lost ? { type: "reset", code: error.code } : this.#orderly();
    void this.#user.close(this.#reason, normalExit);
  }

  // ── what the loop asks for ────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  onUserMessage(state: State, message: Message): UserResult<State, Message> {
    return this.#heldBack(this.#handler!.loop(state, message, this));
  }

  /** @internal */
  onShutdown(state: State, deadlineMs: number): UserResult<State, Message> {
    return this.#heldBack(this.#handler!.onShutdown?.(state, this, deadlineMs));
  }

  /** @internal */
  onClose(state: State, reason: CloseReason): unknown {
    return this.#handler!.onClose?.(state, reason);
  }

  /** @internal */
  onEnd(exit: ExitReason): CloseReason {
    if (exit.type === "abnormal") {
      this.#reason ??= { type: "handler", error: exit.error };
      this.stream.abort(exit.error);
    } else {
      this.#reason ??= this.#orderly();
      if (!this.#over) this.finish(this.#stopping);
    }
    return this.#reason;
  }

  /** @internal */
  onFault(error: unknown): void {
    this.stream.report(error);
  }

  /** A loop that does not look at its promises is held back all the same. */
  #heldBack(result: UserResult<State, Message>): UserResult<State, Message> {
    return this.#pending === undefined ? result : this.#pending.then(() => result);
  }

  #orderly(): CloseReason {
    return { type: this.#stopping ? "shutdown" : "normal" };
  }
}
