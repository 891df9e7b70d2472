// The loop behind a streamed response: what event streams and chunked responses have in common.
//
// Owns the loop's life: `init` before the first message, one message at a time, nothing further handled while the
// client takes less than it is sent, `onClose` exactly once. The response's own life is the stream's.

import {
  type ExitReason,
  type Initialised,
  Loop,
  type LoopResult,
  type MailboxLimits,
  normalExit,
  OwnedSubject,
  type Selector,
  type Subject,
  splitInitialised,
} from "@x/glisten/actor";
import type { ResponseStream } from "../body/response-stream.ts";
import { SENT } from "../body/sent.ts";

/** The user's half of a streamed response. `Writer` is what it sends with. */
export interface StreamHandler<State, Message, Writer> extends MailboxLimits {
  /** Makes the first state, or the state and a selector of sources to hear. May send at once. */
  readonly init: (writer: Writer) => Initialised<State, Message> | Promise<Initialised<State, Message>>;
  /**
   * Handles a message sent to `writer.subject` or by a source. Returns `continue(state)`, `stop()`,
   * `stopAbnormal(reason)`, or nothing to go on as before.
   */
  readonly loop: (
    state: State,
    message: Message,
    writer: Writer,
  ) => LoopResult<State, Message> | Promise<LoopResult<State, Message>>;
  /** Told that the server is stopping; its answer counts like the loop's. */
  readonly onShutdown?:
    | ((
        state: State,
        writer: Writer,
        deadlineMs: number,
      ) => LoopResult<State, Message> | Promise<LoopResult<State, Message>>)
    | undefined;
  /** Called once with the last state, however it ended. Not called if `init` failed. */
  readonly onClose?: ((state: State) => void | Promise<void>) | undefined;
}

/** Told from the user's messages by its class, so that none of theirs can pass for it. */
class ShutdownNotice {
  readonly deadlineMs: number;

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs;
  }
}

/** A streamed response and its loop. Subclasses are what the loop sends with. */
// An ActorBodyWriter, which it does not say: the published declarations leave out what is internal.
export abstract class StreamActor<State, Message> {
  protected readonly stream: ResponseStream;
  #handler: StreamHandler<State, Message, this> | undefined;
  #loop: Loop<State, Message | ShutdownNotice> | undefined;
  #subject: OwnedSubject<Message> | undefined;
  #early: Message[] | undefined;
  #shutdownMs = -1;
  #over = false;
  /** A send the client has not caught up with. */
  #pending: Promise<void> | undefined;

  /** @internal */
  constructor(stream: ResponseStream) {
    this.stream = stream;
  }

  /** Where other actors send this response's messages. */
  get subject(): Subject<Message> {
    this.#subject ??= new OwnedSubject<Message>((message) => this.#post(message));
    if (this.#over) this.#subject.close(normalExit);
    return this.#subject;
  }

  /** Bytes sent and not yet taken by the kernel. */
  get bufferedAmount(): number {
    return this.stream.bufferedAmount;
  }

  /** False once the response is over: sends are refused. */
  get open(): boolean {
    return this.stream.open;
  }

  /** Is the loop still at it? */
  protected get running(): boolean {
    return this.#loop?.alive === true;
  }

  /** Calls `init`. */
  protected run(handler: StreamHandler<State, Message, this>): void {
    this.#handler = handler;
    try {
      const initialised = handler.init(this);
      if (initialised instanceof Promise) this.#openLater(initialised);
      else this.#opened(initialised);
    } catch (error) {
      this.stream.abort(error);
    }
  }

  /** Sends, and remembers if the client does not keep up. */
  protected put(data: string | Uint8Array): Promise<void> {
    const sent = this.stream.send(data);
    if (sent !== SENT) this.#waitFor(sent);
    return sent;
  }

  /** The loop has said `stop()`, or has been told that the server is stopping. */
  protected abstract finish(stopping: boolean): void;

  // ── what the server tells ─────────────────────────────────────────────────────────────────────────────────

  /** @internal */
  shutdown(deadlineMs: number): void {
    this.#shutdownMs = deadlineMs;
    const loop = this.#loop;
    if (loop === undefined) return;
    const told = loop.deliver(new ShutdownNotice(deadlineMs));
    if (told === undefined) this.finish(true);
    else told.then(() => this.finish(true));
  }

  /** @internal */
  closed(): void {
    this.#over = true;
    this.#early = undefined;
    this.#loop?.finish(normalExit);
    this.#subject?.close(normalExit);
  }

  // ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────

  async #openLater(initialising: Promise<Initialised<State, Message>>): Promise<void> {
    try {
      this.#opened(await initialising);
    } catch (error) {
      this.stream.abort(error);
    }
  }

  #opened(initialised: Initialised<State, Message>): void {
    const { state, selector } = splitInitialised<State, Message>(initialised);
    const { maxMailbox, overflow } = this.#handler!;
    const loop = new Loop<State, Message | ShutdownNotice>({
      state,
      handle: (current, message) => this.#handle(current, message),
      selector: selector as Selector<Message | ShutdownNotice> | undefined,
      onExit: (reason, last) => this.#exited(reason, last),
      ...(maxMailbox === undefined ? {} : { maxMailbox }),
      ...(overflow === undefined ? {} : { overflow }),
    });
    this.#loop = loop;
    // The client may have left while `init` was at it: what it made is still closed.
    if (this.#over) loop.stop(normalExit);
    if (this.#early !== undefined) loop.postAll(this.#early);
    this.#early = undefined;
    if (this.#shutdownMs >= 0) this.shutdown(this.#shutdownMs);
  }

  #post(message: Message): void {
    if (this.#loop !== undefined) this.#loop.post(message);
    else if (!this.#over) {
      this.#early ??= [];
      this.#early.push(message);
    }
  }

  #handle(
    state: State,
    message: Message | ShutdownNotice,
  ): LoopResult<State, Message | ShutdownNotice> | Promise<LoopResult<State, Message | ShutdownNotice>> {
    const handler = this.#handler!;
    let result: LoopResult<State, Message> | Promise<LoopResult<State, Message>>;
    if (message instanceof ShutdownNotice) result = handler.onShutdown?.(state, this, message.deadlineMs);
    else result = handler.loop(state, message, this);
    const own = result as LoopResult<State, Message | ShutdownNotice>;
    // A loop that does not look at its promises is held back all the same.
    return this.#pending === undefined ? own : this.#pending.then(() => own);
  }

  #waitFor(sent: Promise<void>): void {
    const settle = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    const pending = sent.then(settle, settle);
    this.#pending = pending;
  }

  #exited(reason: ExitReason, state: State): void {
    if (reason.type === "abnormal") this.stream.abort(reason.error);
    else if (!this.#over) this.finish(this.#shutdownMs >= 0);
    const onClose = this.#handler?.onClose;
    if (onClose === undefined) return;
    try {
      const closing = onClose(state);
      if (closing instanceof Promise) closing.catch((error: unknown) => this.stream.report(error));
    } catch (error) {
      this.stream.report(error);
    }
  }
}
