// An actor: a state, a loop that handles one message at a time, and an address.
//
// Owns its life: init with its timeout, the loop, stop with its deadline, the exit and its watchers.

import { clock } from "../clock.ts";
import { UsageError } from "../errors.ts";
import { checkFunctions, checkNames, shown } from "../option-names.ts";
import { abnormalExit, type ExitReason, isFailure, killedExit, shutdownExit } from "./exit.ts";
import { checkMailboxLimits, type MailboxLimits, mailboxOptions } from "./mailbox.ts";
import { Monitors, type ProcessDown } from "./monitor.ts";
import type { Initialised, Receiver, Unsubscribe } from "./selector.ts";
import type { Subject } from "./subject.ts";
import { defaultShutdownMs } from "./supervision/child-specification.ts";
import { after } from "./timer.ts";
import { isPromiseLike, warn } from "./user-code.ts";
import { type AnyIfUnknown, type LoopHost, UserLoop, type UserResult } from "./user-loop.ts";

/** A running actor. It is a `Child`: a supervisor can look after it. */
export interface ActorRef<Message> extends AsyncDisposable {
  /** The name given to `start`. */
  readonly name: string | undefined;
  /** Where to send messages. */
  readonly subject: Subject<Message>;
  /** False as soon as the actor handles no more messages. */
  readonly alive: boolean;
  /** Resolves once the actor has ended and its `onClose` is done. Never rejects. */
  readonly exited: Promise<ExitReason>;
  /**
   * Asks the actor to end: what is being handled is finished, what waits is dropped, `onClose` runs. After
   * `deadlineMs` (default 5000; `Infinity` for no limit) it is killed. Resolves with the reason it ended with.
   */
  stop(deadlineMs?: number): Promise<ExitReason>;
  /** Ends the actor now, with `killed`. `onClose` is called but not waited for. */
  kill(): void;
  /** Calls `receiver` when the actor has ended; at once when it has already. */
  monitor(receiver: Receiver<ProcessDown>): Unsubscribe;
}

/** What an actor is made of. `Self` is the message type of the reference `init` gets; leave it to be inferred. */
export interface ActorOptions<State, Message, Self = Message> extends MailboxLimits {
  /**
   * Makes the first state, and if you like a selector of further sources: `state` or `[state, selector]`, or a
   * promise of them. Messages that are sent in the meantime wait.
   */
  readonly init: (
    self: ActorRef<Self>,
  ) => Initialised<State, Message> | PromiseLike<Initialised<State, Message>>;
  /** How long `init` may take, in milliseconds; `Infinity` for no limit. Default: 1000. */
  readonly initTimeoutMs?: number | undefined;
  /**
   * Handles one message. Returning undefined goes on with the state unchanged. A throw ends the actor with `abnormal`.
   */
  readonly loop: (state: State, message: Message, self: ActorRef<Message>) => UserResult<State, Message>;
  /**
   * Cleans up. Called exactly once for every state that `init` has made, however the actor ended, also for one that
   * came after the init timeout. A throw or a rejection makes an orderly exit `abnormal`.
   */
  readonly onClose?: ((state: State, reason: ExitReason) => unknown) | undefined;
  /** Appears in error messages. */
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

class ActorCell<State, Message> implements ActorRef<Message>, LoopHost<State, Message, Message, ExitReason> {
  readonly #options: ActorOptions<State, Message>;
  readonly #user: UserLoop<State, Message>;
  readonly #monitors = new Monitors();
  #exited: Promise<ExitReason> | undefined;
  #resolveExited: ((reason: ExitReason) => void) | undefined;
  /** How the loop ended. */
  #exit: ExitReason | undefined;
  #watched = false;
  /** The exit, once all is done. */
  #reason: ExitReason | undefined;
  /** Rejects `start` while it waits for `init`. */
  #failStart: ((error: ActorStartError) => void) | undefined;
  /** Why `init` is no longer waited for. */
  #givenUp: ActorStartError | undefined;

  constructor(options: ActorOptions<State, Message>) {
    this.#options = options;
    this.#user = new UserLoop<State, Message>(this, options);
  }

  get name(): string | undefined {
    return this.#options.name;
  }

  get subject(): Subject<Message> {
    return this.#user.subject;
  }

  get alive(): boolean {
    return this.#user.alive;
  }

  get exited(): Promise<ExitReason> {
    this.#exited ??= new Promise((resolve) => {
      if (this.#reason !== undefined) resolve(this.#reason);
      else this.#resolveExited = resolve;
    });
    return this.#exited;
  }

  stop(deadlineMs: number = defaultShutdownMs): Promise<ExitReason> {
    const { exited } = this;
    if (this.#user.begun) this.#user.finish(shutdownExit);
    else this.#giveUp("init-stopped", "was stopped during init", shutdownExit);
    if (this.#reason === undefined) {
      const timer = after(deadlineMs, () => this.kill());
      if (timer !== undefined) void exited.then(() => clock.clearTimer(timer));
    }
    return exited;
  }

  kill(): void {
    if (this.#user.begun) this.#user.stop(killedExit);
    else this.#giveUp("init-stopped", "was killed during init", killedExit);
    this.#settle(killedExit);
  }

  monitor(receiver: Receiver<ProcessDown>): Unsubscribe {
    return this.#monitors.add(receiver);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clock.until(this.stop());
  }

  /** Runs `init` and, when it is done, the loop. */
  start(): Promise<ActorRef<Message>> {
    return new Promise((resolve, reject) => {
      const { initTimeoutMs = 1000 } = this.#options;
      const timer = after(initTimeoutMs, () =>
        this.#giveUp("init-timeout", `took longer than ${initTimeoutMs} ms in init`),
      );
      this.#failStart = (error) => {
        clock.clearTimer(timer);
        reject(error);
      };
      const started = (): void => {
        clock.clearTimer(timer);
        resolve(this);
      };
      const starting = this.#user.start(this.#options.init, this);
      if (starting === undefined) started();
      else void starting.then(started);
    });
  }

  #giveUp(reason: ActorStartError["reason"], what: string, exit?: ExitReason): void {
    if (!this.alive) return;
    this.#givenUp = new ActorStartError(reason, `${this.#title()} ${what}`);
    this.#user.stop(exit ?? abnormalExit(this.#givenUp));
  }

  // ---- what the loop asks for -------------------------------------------------------------------------------

  onUserMessage(state: State, message: Message): UserResult<State, Message> {
    return this.#options.loop(state, message, this);
  }

  onEnd(exit: ExitReason, begun: boolean): ExitReason {
    this.#exit = exit;
    this.#watched = this.#user.watched;
    if (begun) return exit;
    const cause = exit.type === "abnormal" ? exit.error : undefined;
    const detail = cause instanceof Error ? cause.message : String(cause);
    this.#failStart?.(
      this.#givenUp ??
        new ActorStartError("init-failed", `${this.#title()} failed in init: ${detail}`, { cause }),
    );
    this.#settle(exit);
    return exit;
  }

  /** Cleans up, then settles. */
  onClose(state: State, reason: ExitReason): unknown {
    const done = this.#options.onClose?.(state, reason);
    if (isPromiseLike(done)) return Promise.resolve(done).then(() => this.#settle(reason));
    this.#settle(reason);
    return undefined;
  }

  onFault(error: unknown): void {
    const exit = this.#exit!;
    // The exit reason holds one failure; a second or late one would be lost.
    if (this.#reason !== undefined || isFailure(exit)) warn(error);
    this.#settle(isFailure(exit) ? exit : abnormalExit(error));
  }

  #settle(reason: ExitReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#warnUnseen(reason);
    this.#monitors.down(reason, this);
    this.#resolveExited?.(reason);
  }

  /** Emits a process warning for a failure that nothing watches. */
  #warnUnseen(reason: ExitReason): void {
    if (reason.type !== "abnormal" || !this.#user.begun || this.#options.onClose !== undefined) return;
    if (this.#exited !== undefined || this.#monitors.watched || this.#watched) return;
    const { error } = reason;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`${this.#title()} crashed and nobody was watching`, { type: "ActorCrash", detail });
  }

  #title(): string {
    return this.name === undefined ? "an actor" : `actor ${this.name}`;
  }
}

/**
 * Starts an actor. Resolves when its `init` is done. Rejects with an {@link ActorStartError}.
 *
 * Throws a UsageError for invalid options.
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
export function start<State, Message, Self = AnyIfUnknown<Message>>(
  options: ActorOptions<State, Message, Self>,
): Promise<ActorRef<Message>> {
  checkNames("actor.start", options, ["init", "initTimeoutMs", "loop", "onClose", "name", ...mailboxOptions]);
  checkFunctions(options, ["init", "loop"], ["onClose"]);
  checkMailboxLimits(options);
  const { initTimeoutMs = 0 } = options;
  if (!(initTimeoutMs >= 0)) {
    throw new UsageError(`initTimeoutMs must be a number of at least 0, got ${shown(initTimeoutMs)}`);
  }
  return new ActorCell<State, Message>(options as unknown as ActorOptions<State, Message>).start();
}
