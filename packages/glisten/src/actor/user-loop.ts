// The loop that user code runs in: under an actor, a connection's handler, a WebSocket, a streamed response.
//
// Owns `init` before the first message, the messages that come before it is done, the address for other actors, the
// notice that the server is stopping, the grace of a handler that outlives its connection, and `onClose` exactly once
// for every state that `init` has made. What carries the messages, and what an end means for it, is the host's.

import { clock, type Timer } from "../clock.ts";
import { abnormalExit, type ExitReason } from "./exit.ts";
import { Loop } from "./loop.ts";
import type { MailboxLimits } from "./mailbox.ts";
import type { LoopResult } from "./next.ts";
import { type Initialised, type Selector, splitInitialised } from "./selector.ts";
import { OwnedSubject, type Subject } from "./subject.ts";
import { callUser, isPromiseLike } from "./user-code.ts";

/** How long a pending handler may outlive its connection or stream, in milliseconds. */
export const graceMs = 5_000;

/** What a handler answers, now or later. */
export type UserResult<State, Message> = LoopResult<State, Message> | PromiseLike<LoopResult<State, Message>>;

/**
 * The message type of what `init` is given. While TypeScript has yet to infer `Message` from the loop, that must not be
 * settled by the parameter of `init`: there the subject takes anything.
 */
// biome-ignore lint/suspicious/noExplicitAny: nothing else is assignable to and from every message type
export type AnyIfUnknown<Message> = [Message] extends [never] ? any : unknown extends Message ? any : Message;

/**
 * What a {@link UserLoop} belongs to. Most methods do no more than call the function of the same role that the user
 * gave; what they throw, or reject with, is a failure of user code.
 */
export interface LoopHost<State, Message, UserMessage, Reason> {
  /** Has the loop handle a message that was given to `deliver`; for hosts that do. */
  onMessage?(state: State, message: Message): UserResult<State, UserMessage>;
  /** Has the loop handle a message that was sent to the subject, or by a source of the selector. */
  onUserMessage(state: State, message: UserMessage): UserResult<State, UserMessage>;
  /** Calls `onShutdown`. */
  onShutdown?(state: State, deadlineMs: number): UserResult<State, UserMessage>;
  /** Calls `onClose`. */
  onClose(state: State, reason: Reason): unknown;
  /**
   * Called exactly once when the loop has ended, before `onClose`: because it was told to, by its own answer, or by a
   * failure. `begun` is false if `init` failed or was not done. Returns the reason for `onClose`; undefined if the host
   * is about to give it to `UserLoop.close`.
   */
  onEnd(exit: ExitReason, begun: boolean): Reason | undefined;
  /** Reports that `onClose` failed. */
  onFault(error: unknown): void;
}

/** A message of the loop's own, recognised by its class. */
class ShutdownNotice {
  readonly deadlineMs: number;

  constructor(deadlineMs: number) {
    this.deadlineMs = deadlineMs;
  }
}

/** The state of an ending. An object of its own, since a loop that runs or idles has none. */
class Ending<State, Reason> {
  /** The reason for `onClose`, once it is known. */
  reason: Reason | undefined = undefined;
  /** A state that came when the loop had ended, or whose sources could not be listened to. */
  late: { readonly state: State } | undefined = undefined;
  /** Whether `onClose` has been called. */
  told = false;
  /** Settled when `onClose`, or the handler that outlives its connection and then `onClose`, is done. */
  promise: Promise<void> | undefined = undefined;
  /** Ends the grace of a handler that outlives its connection. */
  timer: Timer | undefined = undefined;
  resolve: ((closing: Promise<void> | undefined) => void) | undefined = undefined;
}

/**
 * Runs user code over messages, one at a time. All loops share their functions: an idle one holds two small objects.
 */
export class UserLoop<State, Message, UserMessage = Message, Reason = ExitReason> {
  readonly #host: LoopHost<State, Message, UserMessage, Reason>;
  readonly #loop: Loop<State, unknown, UserLoop<State, Message, UserMessage, Reason>>;
  #subject: OwnedSubject<UserMessage> | undefined = undefined;
  #end: Ending<State, Reason> | undefined = undefined;

  /** Throws a UsageError for mailbox limits out of range. */
  constructor(host: LoopHost<State, Message, UserMessage, Reason>, limits: MailboxLimits) {
    const { maxMailbox, overflow } = limits;
    this.#host = host;
    this.#loop = new Loop<State, unknown, UserLoop<State, Message, UserMessage, Reason>>({
      owner: this,
      handle: UserLoop.#handle<State, Message, UserMessage, Reason>,
      onExit: UserLoop.#exited<State, Message, UserMessage, Reason>,
      maxMailbox,
      overflow,
    });
  }

  /** Where other actors send user messages. Those sent before `init` is done wait, within the mailbox's bound. */
  get subject(): Subject<UserMessage> {
    const { ending } = this.#loop;
    this.#subject ??= new OwnedSubject<UserMessage>((message) => this.#loop.post(message));
    if (ending !== undefined) this.#subject.close(ending);
    return this.#subject;
  }

  /** Whether anybody watches the loop's end through its subject. */
  get watched(): boolean {
    return this.#subject?.watched === true;
  }

  /** Whether `init` is done and the loop has, or had, a state. */
  get begun(): boolean {
    return this.#loop.begun;
  }

  /** False as soon as the loop has ended. */
  get alive(): boolean {
    return this.#loop.alive;
  }

  /**
   * Calls the user's `init` with `handle`, and begins with the state that it makes. Returns a promise if
   * `init` does. Never throws or rejects: `onEnd` tells the host of a failure.
   */
  start<Handle>(
    init: (handle: Handle) => Initialised<State, UserMessage> | PromiseLike<Initialised<State, UserMessage>>,
    handle: Handle,
  ): void | Promise<void> {
    try {
      const first = init(handle);
      if (!isPromiseLike(first)) this.#begin(first as Initialised<State, UserMessage>);
      else {
        return Promise.resolve(first as PromiseLike<Initialised<State, UserMessage>>).then(
          (value) => this.#begin(value),
          (error: unknown) => this.#loop.stop(abnormalExit(error)),
        );
      }
    } catch (error) {
      this.#loop.stop(abnormalExit(error));
    }
  }

  /**
   * Handles a message of the host's: now, or, while a handler is at work, in its turn. Returns a promise unless it has
   * been handled; it never rejects.
   */
  deliver(message: Message): void | Promise<void> {
    return this.#loop.deliver(message);
  }

  /** The server is stopping: `onShutdown` is called in its turn. Otherwise like {@link deliver}. */
  shutdown(deadlineMs: number): void | Promise<void> {
    return this.#loop.deliver(new ShutdownNotice(deadlineMs));
  }

  /** Ends the loop now; what an open handler may still answer is ignored. */
  stop(exit: ExitReason): void {
    this.#loop.stop(exit);
  }

  /** Ends the loop as soon as the handler at work is done. */
  finish(exit: ExitReason): void {
    this.#loop.finish(exit);
  }

  /**
   * What the loop handles messages of has ended. A handler at work may finish, within {@link graceMs} unless `exit` is
   * `killed`; then `last`, if given, is handled; then `onClose` is called with `reason`, unless it has been. Returns a
   * promise unless all is done; it never rejects. An `init` that is still pending is not waited for: `onClose` follows
   * when it is done.
   */
  close(reason: Reason, exit: ExitReason, last?: Message): void | Promise<void> {
    const loop = this.#loop;
    this.#end ??= new Ending();
    this.#end.reason ??= reason;
    if (exit.type === "killed") loop.stop(exit);
    else loop.finish(exit, last);
    this.#subject?.close(loop.ending ?? exit);
    if (!loop.alive) this.#tellClose();
    else if (loop.begun) this.#outlive(exit);
    return this.ending;
  }

  /** The promise that {@link close} has returned. */
  get ending(): Promise<void> | undefined {
    return this.#end?.promise;
  }

  #begin(first: Initialised<State, UserMessage>): void {
    const { state, selector } = splitInitialised<State, UserMessage>(first);
    const loop = this.#loop;
    loop.begin(state, selector as Selector<unknown> | undefined);
    if (loop.begun) return;
    this.#end ??= new Ending();
    this.#end.late = { state };
    this.#tellClose();
  }

  /** A message has come to its turn: one of the host's, or one that was posted. */
  static #handle<S, M, U, R>(
    state: S,
    message: unknown,
    posted: boolean,
    user: UserLoop<S, M, U, R>,
  ): UserResult<S, unknown> {
    const host = user.#host;
    let result: UserResult<S, U>;
    if (posted) result = host.onUserMessage(state, message as U);
    else if (message instanceof ShutdownNotice) result = host.onShutdown?.(state, message.deadlineMs);
    else result = host.onMessage!(state, message as M);
    return result as UserResult<S, unknown>;
  }

  static #exited<S, M, U, R>(exit: ExitReason, _state: S, user: UserLoop<S, M, U, R>): void {
    const reason = user.#host.onEnd(exit, user.#loop.begun);
    user.#end ??= new Ending();
    user.#end.reason ??= reason;
    user.#subject?.close(exit);
    user.#tellClose();
  }

  /** Calls `onClose`, once both the last state and the reason are there. */
  #tellClose(): void {
    const end = this.#end!;
    const { reason, late, resolve } = end;
    const loop = this.#loop;
    if (end.told || reason === undefined || !(loop.begun || late !== undefined)) return;
    end.told = true;
    const state = late === undefined ? loop.state : late.state;
    const closing = callUser(
      (host) => host.onClose(state, reason),
      this.#host,
      (error) => this.#host.onFault(error),
    );
    clock.clearTimer(end.timer);
    if (resolve === undefined) end.promise = closing;
    else resolve(closing);
  }

  #outlive(exit: ExitReason): void {
    const end = this.#end!;
    if (end.timer !== undefined) return;
    end.timer = clock.setTimer(() => this.#loop.stop(exit), graceMs);
    end.promise = new Promise<void>((resolve) => {
      end.resolve = resolve;
    });
  }
}
