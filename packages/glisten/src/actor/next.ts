// What a message handler answers: go on, stop, or stop with a failure.
//
// One type for actors, glisten's connections, and WebSocket, SSE and chunked-response loops.

import type { Selector } from "./selector.ts";

/**
 * A handler's answer. Made by `continue(state)`, `stop()` and `stopAbnormal(reason)`; a value, never changed.
 */
export interface Next<State, Message> {
  /** What to do. */
  readonly kind: "continue" | "stop" | "stop-abnormal";
  /** The state to go on with; only with `continue`. */
  readonly state: State | undefined;
  /** What went wrong; only with `stop-abnormal`. */
  readonly reason: unknown;
  /** The sources to listen to from now on in place of the present ones; only with `continue`. */
  readonly selector: Selector<Message> | undefined;
  /**
   * The same answer, and from now on listen to these sources in place of the selector given before.
   * The owner's own subject is heard in any case. Has no effect on `stop` and `stopAbnormal`.
   */
  withSelector<NewMessage>(selector: Selector<NewMessage>): Next<State, NewMessage>;
}

/**
 * What a handler may return: a {@link Next}, or nothing at all, which means: go on, state unchanged.
 * Returning nothing allocates nothing.
 */
export type LoopResult<State, Message> = Next<State, Message> | undefined | void;

class Answer<State, Message> implements Next<State, Message> {
  readonly kind: "continue" | "stop" | "stop-abnormal";
  readonly state: State | undefined;
  readonly reason: unknown;
  readonly selector: Selector<Message> | undefined;

  constructor(
    kind: "continue" | "stop" | "stop-abnormal",
    state: State | undefined,
    reason: unknown,
    selector: Selector<Message> | undefined,
  ) {
    this.kind = kind;
    this.state = state;
    this.reason = reason;
    this.selector = selector;
  }

  withSelector<NewMessage>(selector: Selector<NewMessage>): Next<State, NewMessage> {
    return new Answer(this.kind, this.state, this.reason, selector);
  }
}

const stopped: Next<never, never> = new Answer<never, never>("stop", undefined, undefined, undefined);

/** Go on with this state. Exported from the package under the name `continue`. */
export function continue_<State, Message = never>(state: State): Next<State, Message> {
  return new Answer<State, Message>("continue", state, undefined, undefined);
}

/** End in order: the exit reason is `normal`. */
export function stop(): Next<never, never> {
  return stopped;
}

/** End with a failure: the exit reason is `abnormal` and `reason` its error. */
export function stopAbnormal(reason: unknown): Next<never, never> {
  return new Answer<never, never>("stop-abnormal", undefined, reason, undefined);
}
