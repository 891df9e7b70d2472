// The engine of everything that handles one message at a time, below `user-loop.ts`.
//
// Owns the state, the order of messages, and the one exit. A handler that answers synchronously costs no promise, no
// microtask and no allocation beyond its own. Knows nothing of names, monitors or supervisors.

import { clock } from "../clock.ts";
import { UsageError } from "../errors.ts";
import { shown } from "../option-names.ts";
import { abnormalExit, type ExitReason, normalExit } from "./exit.ts";
import { checkMailboxLimits, Mailbox, type MailboxLimits } from "./mailbox.ts";
import type { LoopResult, Next } from "./next.ts";
import { Queue } from "./queue.ts";
import { type Runnable, scheduler } from "./scheduler.ts";
import type { Selector, Unsubscribe } from "./selector.ts";
import { callUser, isPromiseLike, raiseUncaught } from "./user-code.ts";

/**
 * What a {@link Loop} is made of. `handle` and `onExit` get the state and the owner, so that thousands of loops can
 * share one pair of functions.
 */
export interface LoopOptions<State, Message, Owner = unknown> extends MailboxLimits {
  /** Passed on to `handle` and `onExit`. */
  readonly owner?: Owner | undefined;
  /**
   * Handles one message; `posted` tells whether it came by `post` or a selector, or else by `deliver`. Returns (or
   * resolves to) what comes next; undefined goes on with the state unchanged. A throw or a rejection ends the loop with
   * `abnormal`.
   */
  readonly handle: (
    state: State,
    message: Message,
    posted: boolean,
    owner: Owner,
  ) => LoopResult<State, Message> | PromiseLike<LoopResult<State, Message>>;
  /**
   * Called exactly once when the loop has ended, with its last state (undefined if it had not begun); never while a
   * handler is on the stack.
   */
  readonly onExit?: ((reason: ExitReason, state: State, owner: Owner) => void) | undefined;
}

/** Nothing is being handled and nothing waits. */
const IDLE = 0;
/** Nothing is being handled; messages wait, and the loop is in the scheduler's queue. */
const READY = 1;
/** The handler is on the stack. */
const RUNNING = 2;
/** The handler returned a promise that has not settled. */
const PENDING = 3;
/** There is no state yet: messages wait. */
const UNBORN = 4;
/** Ended; `onExit` is still to be called when the handler is on the stack. */
const DEAD = 5;
/** Ended, and `onExit` has been called. */
const TOLD = 6;

type Status =
  | typeof IDLE
  | typeof READY
  | typeof RUNNING
  | typeof PENDING
  | typeof UNBORN
  | typeof DEAD
  | typeof TOLD;

/** A delivered message that waits, and what resolves its promise. */
class Delivery<Message> {
  readonly message: Message;
  readonly settle: () => void;

  constructor(message: Message, settle: () => void) {
    this.message = message;
    this.settle = settle;
  }
}

/** The sources listened to besides `deliver` and `post`, and how to leave them. */
interface Listening<Message> {
  readonly selector: Selector<Message>;
  readonly leave: Unsubscribe;
}

const unbounded: MailboxLimits = Object.freeze({});

/** The limits copied last. A server gives all its loops the same, which share one copy. */
let copied = unbounded;

function copyLimits(limits: MailboxLimits): MailboxLimits {
  const { maxMailbox, overflow } = limits;
  if (maxMailbox === undefined && overflow === undefined) return unbounded;
  if (maxMailbox === copied.maxMailbox && overflow === copied.overflow) return copied;
  checkMailboxLimits(limits);
  copied = { maxMailbox, overflow };
  return copied;
}

/** Handles messages one at a time, in order of arrival, until it is stopped. */
export class Loop<State, Message, Owner = unknown> implements Runnable {
  #status: Status = UNBORN;
  #state: State | undefined;
  #begun = false;
  readonly #owner: Owner | undefined;
  readonly #handle: LoopOptions<State, Message, Owner>["handle"];
  readonly #onExit: LoopOptions<State, Message, Owner>["onExit"];
  readonly #limits: MailboxLimits;
  #mailbox: Mailbox<Message> | undefined;
  /** Delivered messages that wait. Not subject to the mailbox's bound: their senders wait for them. */
  #deliveries: Queue<Delivery<Message>> | undefined;
  /** Whether the last message taken was a delivered one; the two queues take turns. */
  #tookDelivery = false;
  /** Whether the loop is in the scheduler's queue. */
  #isQueued = false;
  #listening: Listening<Message> | undefined;
  /** Resolves the promise of the message that is being handled. */
  #settle: (() => void) | undefined;
  /** The reason to end with once the handler at work is done. */
  #endReason: ExitReason | undefined;
  /** The message to end with, which `finish` was given. */
  #last: Message | undefined;

  /** Throws a UsageError for mailbox limits out of range. */
  constructor(options: LoopOptions<State, Message, Owner>) {
    this.#limits = copyLimits(options);
    this.#owner = options.owner;
    this.#handle = options.handle;
    this.#onExit = options.onExit;
  }

  /**
   * Brings the first state, and the sources to listen to besides `deliver` and `post`; messages wait until then. What
   * has been sent in the meantime is handled before this returns, as far as `post` would; what the sources have in
   * store comes behind it. A source whose `subscribe` throws ends the loop with `abnormal`. Does nothing once the loop
   * has ended.
   */
  begin(state: State, selector?: Selector<Message>): void {
    if (this.#status !== UNBORN) return;
    this.#state = state;
    this.#status = RUNNING;
    scheduler.hold(() => {
      try {
        if (selector !== undefined && this.#endReason === undefined) this.#subscribe(selector);
        this.#begun = true;
        if (this.alive) this.#rest();
        else clock.nextTurn(() => this.#tell());
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  /** Whether the loop has, or had, a state and all its sources. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The state after the last message that has been handled; undefined before `begin`. */
  get state(): State {
    return this.#state as State;
  }

  /** Why the loop has ended, or is to end once the handler at work is done. */
  get ending(): ExitReason | undefined {
    return this.#endReason;
  }

  /** False as soon as the loop has been stopped, by whomever. */
  get alive(): boolean {
    return this.#status < DEAD;
  }

  /**
   * Handles a message now, on the caller's stack, when no handler is at work. Otherwise the message waits for
   * its turn; it is not subject to the mailbox's bound, since its sender can hold back until the promise settles.
   *
   * Returns undefined when the message has been handled, else a promise that resolves when it has been, or when
   * the loop has ended. The promise never rejects: a handler's failure is the loop's exit.
   */
  deliver(message: Message): void | Promise<void> {
    const status = this.#status;
    if (status === IDLE || (status === READY && !this.#deliveries?.length && this.#last === undefined)) {
      this.#run(message, false);
      if (this.#status === PENDING) return this.#untilSettled();
      return;
    }
    if (this.#endReason !== undefined) return;
    return new Promise<void>((settle) => {
      this.#deliveries ??= new Queue<Delivery<Message>>();
      this.#deliveries.push(new Delivery(message, settle));
      if (this.#status === IDLE) this.#queueUp();
    });
  }

  /**
   * Takes a message from a sender who does not wait. Handles it now when the loop is idle and no handler of any
   * loop is on the stack; otherwise it waits in the mailbox. Never throws; a loop that has ended drops it.
   */
  post(message: Message): void {
    const status = this.#status;
    if (status === IDLE && scheduler.depth === 0) {
      this.#run(message, true);
      return;
    }
    if (this.#endReason !== undefined) return;
    this.#mailbox ??= new Mailbox<Message>(this.#limits);
    if (!this.#mailbox.offer(message)) {
      this.stop(abnormalExit(this.#mailbox.overflowError()));
    } else if (status === IDLE) {
      this.#queueUp();
    }
  }

  /**
   * Ends the loop now: leaves the selector, drops the mailbox, calls `onExit` once. A handler's promise that is
   * still open is left behind and its outcome ignored. From inside the handler `onExit` is called when the handler
   * returns. A loop that has ended stays ended, with its first reason.
   */
  stop(reason: ExitReason): void {
    if (!this.alive) return;
    const running = this.#status === RUNNING;
    this.#status = DEAD;
    this.#endReason = reason;
    this.#leave();
    if (!running) this.#tell();
  }

  /**
   * Ends the loop as soon as the handler at work, if there is one, is done, and `last`, if given, has been handled
   * behind it. No other message is handled. A loop that has not begun ends when it begins. If a handler fails, its
   * failure is the exit reason.
   */
  finish(reason: ExitReason, last?: Message): void {
    if (this.#endReason !== undefined) return;
    const waits = this.#status === PENDING || this.#status === UNBORN;
    if (last === undefined && !waits) {
      this.stop(reason);
      return;
    }
    this.#endReason = reason;
    this.#leave();
    if (waits || this.#status === RUNNING) this.#last = last;
    else this.#run(last as Message, false);
  }

  /** One message from the queues. For the scheduler. */
  step(): void {
    this.#isQueued = false;
    if (this.#status !== READY) return;
    this.#status = IDLE;
    const last = this.#last;
    if (last !== undefined) {
      this.#last = undefined;
      this.#run(last, false);
      return;
    }
    const mailbox = this.#mailbox;
    const deliveries = this.#deliveries;
    const posted = mailbox !== undefined && mailbox.length > 0;
    if (deliveries !== undefined && deliveries.length > 0 && !(posted && this.#tookDelivery)) {
      this.#tookDelivery = true;
      const delivery = deliveries.shift();
      this.#settle = delivery.settle;
      this.#run(delivery.message, false);
    } else if (posted) {
      this.#tookDelivery = false;
      this.#run(mailbox.take(), true);
    }
  }

  #run(message: Message, posted: boolean): void {
    const handle = this.#handle;
    this.#status = RUNNING;
    scheduler.depth += 1;
    try {
      const result = handle(this.#state as State, message, posted, this.#owner as Owner);
      if (result === undefined && (this.#status as Status) === RUNNING) this.#rest();
      else this.#react(result);
    } catch (error) {
      this.#fail(error);
    } finally {
      // Even on a stack overflow: a wrong depth would block every loop.
      scheduler.depth -= 1;
    }
    if (scheduler.waiting && scheduler.depth === 0) scheduler.flush();
  }

  /** The handler returned something, or the loop was stopped under it. */
  #react(result: LoopResult<State, Message> | PromiseLike<LoopResult<State, Message>>): void {
    if (isPromiseLike(result)) this.#await(result);
    else this.#apply(result);
  }

  #await(promise: PromiseLike<LoopResult<State, Message>>): void {
    if (!this.alive) this.#tell();
    else this.#status = PENDING;
    Promise.resolve(promise).then(
      (result) => scheduler.afterPromise(() => this.#resume(result)),
      (error: unknown) => scheduler.afterPromise(() => this.#failLate(error)),
    );
  }

  #resume(result: LoopResult<State, Message>): void {
    if (this.#status !== PENDING) return;
    this.#status = RUNNING;
    scheduler.hold(() => {
      try {
        this.#apply(result);
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #failLate(error: unknown): void {
    if (this.#status === PENDING) scheduler.hold(() => this.#fail(error));
  }

  /** Takes the handler's answer. The status is RUNNING, or DEAD when the handler stopped its own loop. */
  #apply(result: LoopResult<State, Message>): void {
    if (result === undefined) {
      this.#rest();
      return;
    }
    const next = result as Next<State, Message> | null;
    switch (next?.kind) {
      case "continue":
        this.#state = next.state as State;
        if (next.selector !== undefined) this.#listen(result);
        this.#rest();
        break;
      case "stop":
        this.#end(normalExit);
        break;
      case "stop-abnormal":
        this.#end(abnormalExit(next.reason));
        break;
      default:
        throw new UsageError(
          `a handler must return continue(…), stop(), stopAbnormal(…) or undefined, got ${shown(result)}`,
        );
    }
  }

  /** A message has been handled and the loop goes on, unless it has been told to end. */
  #rest(): void {
    if (this.#endReason !== undefined) {
      if (this.#last === undefined) {
        this.#end(this.#endReason);
        return;
      }
      this.#settleAll();
      this.#queueUp();
      return;
    }
    this.#status = IDLE;
    if (this.#settle !== undefined) this.#settleHandled();
    if (this.#mailbox?.length || this.#deliveries?.length) this.#queueUp();
  }

  #queueUp(): void {
    this.#status = READY;
    if (this.#isQueued) return;
    this.#isQueued = true;
    scheduler.enqueue(this);
  }

  /** The handler threw or rejected: that is the exit reason, whatever reason was given before. */
  #fail(error: unknown): void {
    this.#endReason = undefined;
    this.#end(abnormalExit(error));
  }

  #end(reason: ExitReason): void {
    if (this.#status !== TOLD) this.#status = DEAD;
    this.#endReason ??= reason;
    this.#leave();
    this.#tell();
  }

  #leave(): void {
    this.#mailbox?.clear();
    const listening = this.#listening;
    this.#listening = undefined;
    if (listening !== undefined) void callUser(listening.leave, undefined);
  }

  #tell(): void {
    if (this.#status === TOLD) return;
    this.#status = TOLD;
    const onExit = this.#onExit;
    if (onExit !== undefined) {
      scheduler.hold(() => {
        try {
          onExit(this.#endReason as ExitReason, this.#state as State, this.#owner as Owner);
        } catch (error) {
          raiseUncaught(error);
        }
      });
    }
    this.#settleAll();
  }

  #settleAll(): void {
    this.#settleHandled();
    const deliveries = this.#deliveries;
    this.#deliveries = undefined;
    while (deliveries !== undefined && deliveries.length > 0) deliveries.shift().settle();
  }

  #settleHandled(): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.();
  }

  #untilSettled(): Promise<void> {
    return new Promise<void>((settle) => {
      this.#settle = settle;
    });
  }

  #listen(next: Next<State, Message>): void {
    if (!this.alive || this.#endReason !== undefined || next.selector === this.#listening?.selector) return;
    const before = this.#listening;
    this.#listening = undefined;
    if (before !== undefined) void callUser(before.leave, undefined);
    this.#subscribe(next.selector as Selector<Message>);
  }

  #subscribe(selector: Selector<Message>): void {
    const leave = selector.subscribe(
      (message) => this.post(message),
      (error) => this.stop(abnormalExit(error)),
    );
    this.#listening = { selector, leave };
    // A source may have overflowed the mailbox while it was being subscribed to.
    if (!this.alive) this.#leave();
  }
}
