/**
 * An actor: a state, a loop that handles one message at a time, and an address.
 *
 * Owns the life of one: init with its timeout, the loop, stop with its deadline, the exit and who is told.
 */

import { DEFAULT_SHUTDOWN_MS } from "./child-specification.ts";
import { abnormalExit, type ExitReason, killedExit, shutdownExit } from "./exit.ts";
import { Loop } from "./loop.ts";
import { checkMailboxLimits, Mailbox, type MailboxLimits } from "./mailbox.ts";
import { Monitors, type ProcessDown } from "./monitor.ts";
import type { LoopResult } from "./next.ts";
import { type Initialised, type Receiver, splitInitialised, type Unsubscribe } from "./selector.ts";
import { OwnedSubject, type Subject } from "./subject.ts";
import { after } from "./timer.ts";
import { raiseUncaught } from "./uncaught.ts";

/** A running actor. It is a `Child`: a supervisor can look after it. */
export interface ActorRef<Message> extends AsyncDisposable {
  /** The name given to `start`, for people. */
  readonly name: string | undefined;
  /** Where to send messages. */
  readonly subject: Subject<Message>;
  /** False as soon as the actor handles no more messages. */
  readonly alive: boolean;
  /** Resolves once the actor has ended and its `onExit` is done. Never rejects. */
  readonly exited: Promise<ExitReason>;
  /**
   * Asks the actor to end: what is being handled is finished, what waits is dropped, `onExit` runs. After
   * `deadlineMs` (default 5000; `Infinity` for no limit) it is killed. Resolves with the reason it ended with.
   */
  stop(deadlineMs?: number): Promise<ExitReason>;
  /** Ends the actor now, with `killed`. `onExit` is called but not waited for. */
  kill(): void;
  /** Tells `receiver` when the actor has ended; at once when it has already. */
  monitor(receiver: Receiver<ProcessDown>): Unsubscribe;
}

/** What an actor is made of. */
export interface ActorOptions<State, Message> extends MailboxLimits {
  /**
   * Makes the first state, and if you like a selector of further sources: `state` or `[state, selector]`, or a
   * promise of them. Messages that are sent in the meantime wait.
   */
  readonly init: (
    self: ActorRef<Message>,
  ) => Initialised<State, Message> | PromiseLike<Initialised<State, Message>>;
  /** How long `init` may take, in milliseconds; `Infinity` for no limit. Default: 1000. */
  readonly initTimeoutMs?: number | undefined;
  /** Handles one message. Nothing returned means: go on, state unchanged. A throw ends the actor with `abnormal`. */
  readonly loop: (
    state: State,
    message: Message,
    self: ActorRef<Message>,
  ) => LoopResult<State, Message> | PromiseLike<LoopResult<State, Message>>;
  /**
   * Cleans up. Called exactly once for every state that `init` has made, however the actor ended, also for one
   * that came after the init timeout. A throw makes an orderly exit `abnormal`.
   */
  readonly onExit?: ((reason: ExitReason, state: State) => void | PromiseLike<void>) | undefined;
  /** For people: it appears in errors. */
  readonly name?: string | undefined;
}

/**
 * Why an actor did not start.
 *
 * - `init-failed`: `init` threw or rejected; `cause` is what with.
 * - `init-timeout`: `init` took longer than `initTimeoutMs`.
 * - `init-stopped`: the actor was stopped or killed during `init`.
 */
export class ActorStartError extends Error {
  override readonly name: string = "ActorStartError";
  /** `init` threw or rejected; took too long; or the actor was stopped before it was done. */
  readonly reason: "init-failed" | "init-timeout" | "init-stopped";

  constructor(reason: ActorStartError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

class ActorCell<State, Message> implements ActorRef<Message> {
  readonly subject: OwnedSubject<Message>;
  readonly #options: ActorOptions<State, Message>;
  readonly #monitors = new Monitors();
  /** Messages sent during init. */
  #early: Mailbox<Message> | undefined;
  #loop: Loop<State, Message> | undefined;
  #exited: Promise<ExitReason> | undefined;
  #resolveExited: ((reason: ExitReason) => void) | undefined;
  /** The exit, once all is done. */
  #reason: ExitReason | undefined;
  /** Ends the init that is under way. */
  #abandonInit: ((error: ActorStartError, reason: ExitReason) => void) | undefined;

  constructor(options: ActorOptions<State, Message>) {
    this.#options = options;
    this.subject = new OwnedSubject<Message>((message) => this.#receive(message));
  }

  get name(): string | undefined {
    return this.#options.name;
  }

  get alive(): boolean {
    return this.#loop === undefined ? this.#reason === undefined : this.#loop.alive;
  }

  get exited(): Promise<ExitReason> {
    if (this.#exited === undefined) {
      this.#exited = new Promise((resolve) => {
        if (this.#reason !== undefined) resolve(this.#reason);
        else this.#resolveExited = resolve;
      });
    }
    return this.#exited;
  }

  stop(deadlineMs: number = DEFAULT_SHUTDOWN_MS): Promise<ExitReason> {
    const { exited } = this;
    if (this.#loop === undefined) this.#stopInit("stopped", shutdownExit);
    else this.#loop.finish(shutdownExit);
    if (this.#reason === undefined) {
      const timer = after(deadlineMs, () => this.kill());
      if (timer !== undefined) void exited.then(() => clearTimeout(timer));
    }
    return exited;
  }

  kill(): void {
    if (this.#loop === undefined) this.#stopInit("killed", killedExit);
    else this.#loop.stop(killedExit);
    this.#settle(killedExit);
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    return this.#monitors.add(receiver);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Runs `init` and, when it is done, the loop. */
  start(): Promise<ActorRef<Message>> {
    return new Promise((resolve, reject) => {
      const timer = this.#armInitTimeout();
      this.#abandonInit = (error, reason) => {
        this.#abandonInit = undefined;
        clearTimeout(timer);
        this.#early = undefined;
        this.#settle(reason);
        reject(error);
      };
      const begin = (value: Initialised<State, Message>): void => {
        clearTimeout(timer);
        if (this.#begin(value)) resolve(this);
      };
      this.#init(begin, (error) => this.#failInit(error));
    });
  }

  #armInitTimeout(): NodeJS.Timeout | undefined {
    const { initTimeoutMs = 1000 } = this.#options;
    return after(initTimeoutMs, () => {
      const message = `${this.#title()} took longer than ${initTimeoutMs} ms in init`;
      const error = new ActorStartError("init-timeout", message);
      this.#abandonInit?.(error, abnormalExit(error));
    });
  }

  #init(begin: (value: Initialised<State, Message>) => void, fail: (error: unknown) => void): void {
    try {
      const value = this.#options.init(this);
      if (isPromise(value)) value.then(begin, fail);
      else begin(value as Initialised<State, Message>);
    } catch (error) {
      fail(error);
    }
  }

  #failInit(error: unknown): void {
    const message = `${this.#title()} failed in init: ${error instanceof Error ? error.message : String(error)}`;
    this.#abandonInit?.(new ActorStartError("init-failed", message, { cause: error }), abnormalExit(error));
  }

  #stopInit(what: string, reason: ExitReason): void {
    const message = `${this.#title()} was ${what} during init`;
    this.#abandonInit?.(new ActorStartError("init-stopped", message), reason);
  }

  /** The state is there: the loop begins. False when it came too late and has been disposed of. */
  #begin(value: Initialised<State, Message>): boolean {
    const { state, selector } = splitInitialised<State, Message>(value);
    if (this.#abandonInit === undefined) {
      this.#disposeLate(state);
      return false;
    }
    const { loop } = this.#options;
    try {
      this.#loop = new Loop<State, Message>({
        state,
        selector,
        handle: (current, message) => loop(current, message, this),
        onExit: (reason, last) => this.#exit(reason, last),
        maxMailbox: this.#options.maxMailbox,
        overflow: this.#options.overflow,
      });
    } catch (error) {
      this.#failInit(error);
      this.#disposeLate(state);
      return false;
    }
    this.#abandonInit = undefined;
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.#loop.postAll(early.drain());
    return true;
  }

  #receive(message: Message): void {
    if (this.#loop !== undefined) {
      this.#loop.post(message);
      return;
    }
    this.#early ??= new Mailbox<Message>(this.#options);
    if (!this.#early.offer(message)) this.#failInit(this.#early.overflowError());
  }

  /** A state nobody will use: its owner timed out, or was stopped, before it came. */
  #disposeLate(state: State): void {
    try {
      const done = this.#options.onExit?.(this.#reason ?? killedExit, state);
      if (isPromise(done)) done.then(undefined, raiseUncaught);
    } catch (error) {
      raiseUncaught(error);
    }
  }

  /** The loop has ended: clean up, then tell. */
  #exit(reason: ExitReason, state: State): void {
    const { onExit } = this.#options;
    if (onExit === undefined) {
      this.#settle(reason);
      return;
    }
    const fail = (error: unknown): void =>
      this.#settle(reason.type === "abnormal" || reason.type === "killed" ? reason : abnormalExit(error));
    try {
      const done = onExit(reason, state);
      if (isPromise(done)) done.then(() => this.#settle(reason), fail);
      else this.#settle(reason);
    } catch (error) {
      fail(error);
    }
  }

  #settle(reason: ExitReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#warnUnseen(reason);
    this.subject.close(reason);
    this.#monitors.down(reason, this);
    this.#resolveExited?.(reason);
  }

  /** A failure that nobody can see would be lost: it is told as a process warning. */
  #warnUnseen(reason: ExitReason): void {
    if (reason.type !== "abnormal" || this.#loop === undefined || this.#options.onExit !== undefined) return;
    if (this.#exited !== undefined || this.#monitors.watched || this.subject.watched) return;
    const { error } = reason;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`${this.#title()} crashed and nobody was watching`, { type: "ActorCrash", detail });
  }

  #title(): string {
    return this.name === undefined ? "an actor" : `actor ${this.name}`;
  }
}

function isPromise(value: unknown): value is PromiseLike<never> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

/**
 * Starts an actor. Resolves when its `init` is done. Rejects with an {@link ActorStartError}.
 *
 * Throws a RangeError or TypeError for mailbox limits that make no sense.
 *
 * ```ts
 * const counter = await start({
 *   init: () => 0,
 *   loop: (count, message: { add: number }) => continue_(count + message.add),
 * });
 * counter.subject.send({ add: 2 });
 * await counter.stop();
 * ```
 */
export function start<State, Message>(options: ActorOptions<State, Message>): Promise<ActorRef<Message>> {
  checkMailboxLimits(options);
  return new ActorCell<State, Message>(options).start();
}
