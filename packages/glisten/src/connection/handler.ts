// `glisten.new(init, loop)`: the protocol that hands packets and user messages, one at a time, to a handler.
//
// Owns what an end of the handler means for its connection, and the other way round. The handler's own life is the
// user loop's.

import { type ExitReason, killedExit, shutdownExit } from "../actor/exit.ts";
import type { MailboxLimits } from "../actor/mailbox.ts";
import type { Initialised } from "../actor/selector.ts";
import type { Subject } from "../actor/subject.ts";
import { type LoopHost, UserLoop, type UserResult } from "../actor/user-loop.ts";
import { HandlerError, TransportError } from "../errors.ts";
import type { Connection, CreateProtocol } from "./connection.ts";
import type { CloseReason, Protocol } from "./protocol.ts";

/** What a handler receives: bytes from the peer, or a message from another actor. */
export type Message<UserMessage> =
  | { readonly type: "packet"; readonly data: Buffer }
  | { readonly type: "user"; readonly message: UserMessage };

/**
 * Makes a connection's first state, or the state and the sources it listens to. `Self` is the message type of the
 * connection it gets; leave it to be inferred.
 */
export type Init<State, UserMessage, Self = UserMessage> = (
  connection: Connection<Self>,
) => Initialised<State, UserMessage> | PromiseLike<Initialised<State, UserMessage>>;

/** Handles one message. Returning undefined goes on with the state unchanged. */
export type HandlerLoop<State, UserMessage> = (
  state: State,
  message: Message<UserMessage>,
  connection: Connection<UserMessage>,
) => UserResult<State, UserMessage>;

/**
 * Called once, with the last state, when a connection is over; not when `init` failed, since there is no state then.
 * Gets the state that a pending handler leaves, if that settles within 5 seconds.
 */
export type OnClose<State> = (state: State, reason: CloseReason) => unknown;

/** Called when the server is stopping; its result counts as that of a handler. */
export type OnShutdown<State, UserMessage> = (
  state: State,
  connection: Connection<UserMessage>,
  deadlineMs: number,
) => UserResult<State, UserMessage>;

/** A handler and its options. */
export interface Handler<State, UserMessage> {
  readonly init: Init<State, UserMessage>;
  readonly loop: HandlerLoop<State, UserMessage>;
  readonly onClose: OnClose<State> | undefined;
  readonly onShutdown: OnShutdown<State, UserMessage> | undefined;
  readonly mailbox: MailboxLimits;
}

type Packet = { readonly type: "packet"; readonly data: Buffer };

class HandlerProtocol<State, UserMessage>
  implements Protocol, LoopHost<State, Packet, UserMessage, CloseReason>
{
  readonly kind = "connection";
  readonly #handler: Handler<State, UserMessage>;
  readonly #connection: Connection<UserMessage>;
  readonly #user: UserLoop<State, Packet, UserMessage, CloseReason>;
  #closed = false;

  constructor(handler: Handler<State, UserMessage>, connection: Connection<UserMessage>) {
    this.#handler = handler;
    this.#connection = connection;
    this.#user = new UserLoop(this, handler.mailbox);
  }

  get subject(): Subject<UserMessage> {
    return this.#user.subject;
  }

  // ---- what the connection tells ----------------------------------------------------------------------------

  open(): void | Promise<void> {
    return this.#user.start(this.#handler.init, this.#connection);
  }

  data(chunk: Buffer): void | Promise<void> {
    return this.#user.deliver({ type: "packet", data: chunk });
  }

  shutdown(deadlineMs: number): void {
    if (this.#handler.onShutdown !== undefined) void this.#user.shutdown(deadlineMs);
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.#closed = true;
    return this.#user.close(reason, reason.type === "killed" ? killedExit : shutdownExit);
  }

  // ---- what the loop asks for -------------------------------------------------------------------------------

  onMessage(state: State, packet: Packet): UserResult<State, UserMessage> {
    return this.#handler.loop(state, packet, this.#connection);
  }

  onUserMessage(state: State, message: UserMessage): UserResult<State, UserMessage> {
    return this.#handler.loop(state, { type: "user", message }, this.#connection);
  }

  onShutdown(state: State, deadlineMs: number): UserResult<State, UserMessage> {
    return this.#handler.onShutdown?.(state, this.#connection, deadlineMs);
  }

  onClose(state: State, reason: CloseReason): unknown {
    return this.#handler.onClose?.(state, reason);
  }

  /** Gives no reason: `closed` brings that of the connection. */
  onEnd(exit: ExitReason, begun: boolean): undefined {
    if (exit.type !== "abnormal") {
      if (!this.#closed) this.#connection.close();
      return;
    }
    const error = new HandlerError(begun ? "loop" : "init", exit.error);
    if (!this.#closed) this.#connection.destroy(error);
    // Failing because the connection is lost is not a handler failure.
    else if (!(exit.error instanceof TransportError)) this.#connection.report(error);
  }

  onFault(error: unknown): void {
    this.#connection.report(new HandlerError("close", error));
  }
}

/** The protocol factory of a handler. */
export function handlerProtocol<State, UserMessage>(handler: Handler<State, UserMessage>): CreateProtocol {
  return (connection) => new HandlerProtocol(handler, connection as unknown as Connection<UserMessage>);
}
