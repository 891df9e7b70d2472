/**
 * `glisten.new(init, loop)`: the protocol that hands packets and user messages, one at a time, to a handler.
 *
 * Owns the handler's state, its mailbox, and `withClose` being called exactly once with the last state. A handler
 * whose promise is still open when its connection ends is given a moment to finish, so that `withClose` sees the
 * state it leaves; after that the last known state is used.
 */

import { type ExitReason, shutdownExit } from "../actor/exit.ts";
import { Loop } from "../actor/loop.ts";
import type { MailboxLimits } from "../actor/mailbox.ts";
import type { LoopResult } from "../actor/next.ts";
import { type Initialised, splitInitialised } from "../actor/selector.ts";
import { OwnedSubject, type Subject } from "../actor/subject.ts";
import type { Connection } from "./connection.ts";
import type { LiveConnection } from "./live-connection.ts";
import type { CloseReason, CreateProtocol, Protocol } from "./protocol.ts";

/** How long a handler's open promise may outlive its connection before `withClose` no longer waits for it. */
export const GRACE_MS = 5_000;

/** What a handler receives: bytes from the peer, or a message from another actor. */
export type Message<UserMessage> =
  | { readonly type: "packet"; readonly data: Buffer }
  | { readonly type: "user"; readonly message: UserMessage };

/** Makes a connection's first state, or the state and the sources it listens to. */
export type Init<State, UserMessage> = (
  connection: Connection<UserMessage>,
) => Initialised<State, UserMessage> | Promise<Initialised<State, UserMessage>>;

/** Handles one message. Returning nothing goes on with the state unchanged. */
export type HandlerLoop<State, UserMessage> = (
  state: State,
  message: Message<UserMessage>,
  connection: Connection<UserMessage>,
) => LoopResult<State, UserMessage> | Promise<LoopResult<State, UserMessage>>;

/** Told once, with the last state, that a connection is over. Not called when `init` failed: there is no state. */
export type OnClose<State> = (state: State, reason: CloseReason) => void | Promise<void>;

/** Told that the server is stopping; what it returns is taken as the answer of a handler. */
export type OnShutdown<State, UserMessage> = (
  state: State,
  connection: Connection<UserMessage>,
  deadlineMs: number,
) => LoopResult<State, UserMessage> | Promise<LoopResult<State, UserMessage>>;

/** A handler, whole. */
export interface Handler<State, UserMessage> {
  readonly init: Init<State, UserMessage>;
  readonly loop: HandlerLoop<State, UserMessage>;
  readonly onClose: OnClose<State> | undefined;
  readonly onShutdown: OnShutdown<State, UserMessage> | undefined;
  readonly mailbox: MailboxLimits;
}

type Packet = { readonly type: "packet"; readonly data: Buffer };
type Shutdown = { readonly deadlineMs: number };

class HandlerProtocol<State, UserMessage> implements Protocol {
  readonly kind = "connection";
  private readonly handler: Handler<State, UserMessage>;
  private readonly connection: LiveConnection;
  private loop: Loop<State, unknown> | undefined = undefined;
  private inbox: OwnedSubject<UserMessage> | undefined = undefined;
  private early: UserMessage[] | undefined = undefined;
  // Packets and the shutdown notice are told from user messages by identity, so that no message of the user's,
  // whatever its shape, can pass for one.
  private packet: Packet | undefined = undefined;
  private notice: Shutdown | undefined = undefined;
  private ended: { readonly state: State } | undefined = undefined;
  private reason: CloseReason | undefined = undefined;
  private whenEnded: (() => void) | undefined = undefined;

  constructor(handler: Handler<State, UserMessage>, connection: LiveConnection) {
    this.handler = handler;
    this.connection = connection;
  }

  get subject(): Subject<UserMessage> {
    this.inbox ??= new OwnedSubject<UserMessage>((message) => this.user(message));
    return this.inbox;
  }

  private user(message: UserMessage): void {
    if (this.loop !== undefined) this.loop.post(message);
    else {
      this.early ??= [];
      this.early.push(message);
    }
  }

  begin(first: Initialised<State, UserMessage>): this {
    const { state, selector } = splitInitialised<State, UserMessage>(first);
    this.loop = new Loop<State, unknown>({
      state,
      handle: (state, message) => this.handle(state, message),
      selector,
      maxMailbox: this.handler.mailbox.maxMailbox,
      overflow: this.handler.mailbox.overflow,
      onExit: (reason, state) => this.exited(reason, state),
    });
    const early = this.early;
    this.early = undefined;
    if (early !== undefined) for (const message of early) this.loop.post(message);
    return this;
  }

  private handle(
    state: State,
    message: unknown,
  ): LoopResult<State, unknown> | PromiseLike<LoopResult<State, unknown>> {
    const { handler } = this;
    const connection = this.connection as unknown as Connection<UserMessage>;
    if (message === this.packet) {
      this.packet = undefined;
      return handler.loop(state, message as Packet, connection) as LoopResult<State, unknown>;
    }
    if (message === this.notice) {
      return handler.onShutdown!(state, connection, (message as Shutdown).deadlineMs) as LoopResult<
        State,
        unknown
      >;
    }
    const user = { type: "user" as const, message: message as UserMessage };
    return handler.loop(state, user, connection) as LoopResult<State, unknown>;
  }

  data(chunk: Buffer): void | Promise<void> {
    const packet: Packet = { type: "packet", data: chunk };
    this.packet = packet;
    return this.loop!.deliver(packet);
  }

  shutdown(deadlineMs: number): void {
    if (this.handler.onShutdown === undefined) return;
    this.notice = { deadlineMs };
    void this.loop!.deliver(this.notice);
  }

  private exited(reason: ExitReason, state: State): void {
    this.ended = { state };
    this.inbox?.close(reason);
    if (reason.type === "abnormal") this.connection.fail("loop", reason.error);
    else if (this.reason === undefined) this.connection.close();
    this.whenEnded?.();
  }

  closed(reason: CloseReason): void | Promise<void> {
    this.reason = reason;
    const loop = this.loop!;
    if (loop.busy && reason.type !== "killed") {
      const ended = new Promise<void>((resolve) => {
        this.whenEnded = resolve;
      });
      loop.finish(shutdownExit);
      this.connection.remind(GRACE_MS, () => loop.stop(shutdownExit));
      return ended.then(() => this.tell(reason));
    }
    loop.stop(shutdownExit);
    return this.tell(reason);
  }

  private tell(reason: CloseReason): void | Promise<void> {
    return this.handler.onClose?.(this.ended!.state, reason);
  }
}

/** The protocol factory of a handler. */
export function handlerProtocol<State, UserMessage>(handler: Handler<State, UserMessage>): CreateProtocol {
  return (connection) => {
    const live = connection as unknown as LiveConnection;
    const protocol = new HandlerProtocol<State, UserMessage>(handler, live);
    live.addressed(protocol as { readonly subject: Subject<unknown> } as never);
    const first = handler.init(connection as unknown as Connection<UserMessage>);
    if (first instanceof Promise) return first.then((value) => protocol.begin(value));
    return protocol.begin(first);
  };
}
