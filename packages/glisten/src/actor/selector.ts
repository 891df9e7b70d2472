// Several sources of messages heard as one.
//
// Owns subscribing to all of them and leaving all of them again. Holds no messages: a source that has no
// listener keeps or drops them as it sees fit. A selector is a value; `select`, `merge` and `map` make new ones.

import { callUser, refusePromise } from "./user-code.ts";

/** Takes one message. */
export type Receiver<Message> = (message: Message) => void;

/** Ends a subscription. Calling it again does nothing. */
export type Unsubscribe = () => void;

/**
 * Anything that hands out messages to a listener: a Subject, a Selector, a socket of another package. The
 * type is structural on purpose, so that a source need not know this library.
 */
export interface Source<Message> {
  /**
   * Begins to hand messages to `receiver`; the returned function ends it. A source whose own conversion of a
   * message can fail tells `onError` in place of throwing at whoever sent the message; others ignore it.
   */
  subscribe(receiver: Receiver<Message>, onError?: (error: unknown) => void): Unsubscribe;
}

/** An immutable set of sources, each with a conversion to one type of message. */
export interface Selector<Message> extends Source<Message> {
  /** This selector, and a source that yields the same type. */
  select(source: Source<Message>): Selector<Message>;
  /**
   * This selector, and a source whose messages `map` converts. A `map` that throws is a failure of the
   * listener: the actor that uses the selector exits `abnormal`, the sender never sees it.
   */
  selectMap<Other>(source: Source<Other>, map: (message: Other) => Message): Selector<Message>;
  /** The sources of both. */
  merge(other: Selector<Message>): Selector<Message>;
  /** The same sources with every message converted once more. */
  map<New>(convert: (message: Message) => New): Selector<New>;
}

type Branch<Message> = {
  readonly source: Source<unknown>;
  readonly convert: ((message: unknown) => Message) | undefined;
};

class SourceSet<Message> implements Selector<Message> {
  readonly #branches: readonly Branch<Message>[];

  constructor(branches: readonly Branch<Message>[]) {
    this.#branches = branches;
  }

  select(source: Source<Message>): Selector<Message> {
    return this.#with({ source: source as Source<unknown>, convert: undefined });
  }

  selectMap<Other>(source: Source<Other>, map: (message: Other) => Message): Selector<Message> {
    return this.#with({ source: source as Source<unknown>, convert: map as (message: unknown) => Message });
  }

  merge(other: Selector<Message>): Selector<Message> {
    return this.#with({ source: other as Source<unknown>, convert: undefined });
  }

  map<New>(convert: (message: Message) => New): Selector<New> {
    return new SourceSet<New>([
      { source: this as Source<unknown>, convert: convert as (message: unknown) => New },
    ]);
  }

  subscribe(receiver: Receiver<Message>, onError?: (error: unknown) => void): Unsubscribe {
    const leave: Unsubscribe[] = [];
    const leaveAll = (): void => {
      for (let one = leave.pop(); one !== undefined; one = leave.pop()) void callUser(one, undefined);
    };
    try {
      for (const { source, convert } of this.#branches) {
        const unsubscribe = source.subscribe(listener(receiver, convert, onError), onError);
        refusePromise("a source's subscribe", unsubscribe);
        leave.push(unsubscribe);
      }
    } catch (error) {
      leaveAll();
      throw error;
    }
    return leaveAll;
  }

  #with(branch: Branch<Message>): Selector<Message> {
    return new SourceSet([...this.#branches, branch]);
  }
}

function listener<Message>(
  receiver: Receiver<Message>,
  convert: ((message: unknown) => Message) | undefined,
  onError: ((error: unknown) => void) | undefined,
): Receiver<unknown> {
  if (convert === undefined) return receiver as Receiver<unknown>;
  if (onError === undefined) return (message) => receiver(convert(message));
  return (message) => {
    let converted: Message;
    try {
      converted = convert(message);
    } catch (error) {
      onError(error);
      return;
    }
    receiver(converted);
  };
}

const withoutSources = new SourceSet<never>([]);

/**
 * A selector without sources.
 *
 * ```ts
 * selector<Change>()
 *   .select(events)
 *   .selectMap(monitor(worker), (down) => ({ type: "worker-down", reason: down.reason }));
 * ```
 */
export function selector<Message>(): Selector<Message> {
  return withoutSources as unknown as Selector<Message>;
}

/** Whether a value is a selector: an object that can `select`, `merge` and be subscribed to. */
export function isSelector(value: unknown): value is Selector<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const it = value as Partial<Selector<unknown>>;
  return (
    typeof it.select === "function" && typeof it.merge === "function" && typeof it.subscribe === "function"
  );
}

/**
 * What an `init` may return: the state, or the state and the sources to listen to. A state that is itself an
 * array is no trouble: only a pair whose second half is a selector is read as one.
 */
export type Initialised<State, Message> = State | readonly [state: State, selector: Selector<Message>];

/** Takes apart what an `init` returned. */
export function splitInitialised<State, Message>(
  value: Initialised<State, Message>,
): { readonly state: State; readonly selector: Selector<Message> | undefined } {
  if (Array.isArray(value) && value.length === 2 && isSelector(value[1])) {
    return { state: value[0] as State, selector: value[1] as Selector<Message> };
  }
  return { state: value as State, selector: undefined };
}
