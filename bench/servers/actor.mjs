// What a message to an actor costs, and other ways to call a function, in one process; nothing crosses a socket. Every
// workload checks that all of its messages were handled.
import { EventEmitter } from "node:events";
import * as actor from "@x/glisten/actor";
import { offer } from "../src/task.mjs";

/** @import { Worker } from "../src/task.mjs" */

/**
 * A worker whose messages `handled` counts.
 *
 * @param {() => number} handled
 * @param {(units: number) => void | Promise<void>} send
 * @returns {Worker}
 */
function checked(handled, send) {
  return {
    async run(units) {
      const before = handled();
      await send(units);
      if (handled() - before !== units) throw new Error(`${handled() - before} of ${units} were handled`);
    },
  };
}

/** @param {(message: number) => void} send */
const each = (send) => (/** @type {number} */ units) => {
  for (let i = 0; i < units; i++) send(1);
};

/**
 * The loop that handlers run in.
 *
 * @template State
 * @param {(state: State, message: number) => actor.UserResult<State, number>} handle
 * @param {actor.Initialised<State, number>} first
 */
function loopOf(handle, first, onEnd = () => {}) {
  /** @type {actor.UserLoop<State, number>} */
  const loop = new actor.UserLoop(
    {
      onMessage: handle,
      onUserMessage: handle,
      onEnd(exit) {
        onEnd();
        return exit;
      },
      onClose() {},
      onFault() {},
    },
    {},
  );
  void loop.start(() => first, undefined);
  return loop;
}

/** A counter, and a handler that adds to it. */
function counting() {
  const total = { count: 0 };
  const add = (/** @type {unknown} */ _state, /** @type {number} */ message) => {
    total.count += message;
  };
  return { total, add };
}

/** @type {Record<string, () => Worker | Promise<Worker>>} */
const workloads = {
  emit() {
    const emitter = new EventEmitter();
    let count = 0;
    emitter.on("message", (message) => {
      count += message;
    });
    return checked(
      () => count,
      each((message) => void emitter.emit("message", message)),
    );
  },

  async send() {
    let count = 0;
    const { subject } = await actor.start({
      init: () => 0,
      loop(_state, /** @type {number} */ message) {
        count += message;
      },
    });
    return checked(
      () => count,
      each((message) => subject.send(message)),
    );
  },

  deliver() {
    const { total, add } = counting();
    const loop = loopOf(add, undefined);
    return checked(
      () => total.count,
      each((message) => void loop.deliver(message)),
    );
  },

  deliverContinue() {
    let last = 0;
    const loop = loopOf((/** @type {number} */ state, message) => {
      last = state + message;
      return actor.continue(last);
    }, 0);
    return checked(
      () => last,
      each((message) => void loop.deliver(message)),
    );
  },

  deliverAsync() {
    const { total, add } = counting();
    const loop = loopOf(async (state, message) => add(state, message), undefined);
    return checked(
      () => total.count,
      async (units) => {
        for (let i = 0; i < units; i++) await loop.deliver(1);
      },
    );
  },

  select() {
    const { total, add } = counting();
    /** @type {actor.FreeSubject<number>} */
    const source = actor.subject();
    const sources = /** @type {actor.Selector<number>} */ (actor.selector());
    loopOf(add, [undefined, sources.selectMap(source, (message) => message + 1)]);
    return checked(
      () => total.count,
      each(() => source.send(0)),
    );
  },

  /** Every message but the first of each hundred is sent from inside the handler. */
  mailbox() {
    const batch = 100;
    let count = 0;
    const { subject } = loopOf((_state, left) => {
      count += 1;
      for (; left > 1; left--) subject.send(1);
    }, undefined);
    return checked(
      () => count,
      (units) => {
        for (let i = 0; i < units; i += batch) subject.send(Math.min(batch, units - i));
      },
    );
  },

  pingPong() {
    let count = 0;
    let finished = () => {};
    /** @param {() => actor.Subject<number>} peer */
    const bounce = (peer) => (/** @type {unknown} */ _state, /** @type {number} */ left) => {
      count += 1;
      if (left === 0) finished();
      else peer().send(left - 1);
    };
    /** @type {actor.Subject<number>} */
    const ping = loopOf(
      bounce(() => pong),
      undefined,
    ).subject;
    /** @type {actor.Subject<number>} */
    const pong = loopOf(
      bounce(() => ping),
      undefined,
    ).subject;
    return checked(
      () => count,
      (units) =>
        new Promise((resolve) => {
          finished = () => resolve();
          ping.send(units - 1);
        }),
    );
  },

  lifecycle() {
    let exits = 0;
    const handle = () => {};
    const ended = () => {
      exits += 1;
    };
    return checked(
      () => exits,
      (units) => {
        for (let i = 0; i < units; i++) loopOf(handle, 0, ended).stop({ type: "normal" });
      },
    );
  },

  /** Ten thousand children are alive while others come and go. */
  adopt() {
    const factory = actor.factorySupervisor();
    const makeChild = () => ({ shutdown() {}, kill() {} });
    const alive = Array.from({ length: 10_000 }, makeChild);
    for (const child of alive) factory.adopt(child);
    let at = 0;
    return {
      run(units) {
        for (let i = 0; i < units; i++) {
          const child = makeChild();
          factory.adopt(child);
          at = (at + 1) % alive.length;
          const leaving = alive[at];
          if (leaving !== undefined) factory.childExited(leaving);
          alive[at] = child;
        }
        if (factory.count !== alive.length) throw new Error(`${factory.count} children are alive`);
      },
      close: () => factory.kill(),
    };
  },
};

offer(({ workload }) => {
  const open = workloads[workload];
  if (open === undefined) throw new Error(`there is no workload "${workload}"`);
  return open();
});
