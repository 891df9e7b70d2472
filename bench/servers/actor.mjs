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

function countingLoop() {
  return new actor.Loop({
    state: { count: 0 },
    handle(state, /** @type {number} */ message) {
      state.count += message;
    },
  });
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
    const loop = countingLoop();
    return checked(
      () => loop.state.count,
      each((message) => void loop.deliver(message)),
    );
  },

  deliverContinue() {
    const loop = new actor.Loop({
      state: 0,
      handle: (state, /** @type {number} */ message) => actor.continue(state + message),
    });
    return checked(
      () => loop.state,
      each((message) => void loop.deliver(message)),
    );
  },

  deliverAsync() {
    const loop = new actor.Loop({
      state: { count: 0 },
      async handle(state, /** @type {number} */ message) {
        state.count += message;
      },
    });
    return checked(
      () => loop.state.count,
      async (units) => {
        for (let i = 0; i < units; i++) await loop.deliver(1);
      },
    );
  },

  select() {
    /** @type {actor.FreeSubject<number>} */
    const source = actor.subject();
    const loop = new actor.Loop({
      state: { count: 0 },
      selector: /** @type {actor.Selector<number>} */ (actor.selector()).selectMap(
        source,
        (message) => message + 1,
      ),
      handle(state, /** @type {number} */ message) {
        state.count += message;
      },
    });
    return checked(
      () => loop.state.count,
      each(() => source.send(0)),
    );
  },

  /** Every message but the first of each hundred is sent from inside the handler. */
  mailbox() {
    const batch = 100;
    const loop = new actor.Loop({
      state: { count: 0 },
      handle(state, /** @type {number} */ left) {
        state.count += 1;
        for (; left > 1; left--) loop.post(1);
      },
    });
    return checked(
      () => loop.state.count,
      (units) => {
        for (let i = 0; i < units; i += batch) loop.post(Math.min(batch, units - i));
      },
    );
  },

  pingPong() {
    let count = 0;
    let finished = () => {};
    /** @param {() => actor.Loop<number, number>} peer */
    const bounce = (peer) => (/** @type {number} */ _state, /** @type {number} */ left) => {
      count += 1;
      if (left === 0) finished();
      else peer().post(left - 1);
    };
    /** @type {actor.Loop<number, number>} */
    const ping = new actor.Loop({ state: 0, handle: bounce(() => pong) });
    /** @type {actor.Loop<number, number>} */
    const pong = new actor.Loop({ state: 0, handle: bounce(() => ping) });
    return checked(
      () => count,
      (units) =>
        new Promise((resolve) => {
          finished = () => resolve();
          ping.post(units - 1);
        }),
    );
  },

  lifecycle() {
    let exits = 0;
    const options = {
      state: 0,
      handle() {},
      onExit() {
        exits += 1;
      },
    };
    return checked(
      () => exits,
      (units) => {
        for (let i = 0; i < units; i++) new actor.Loop(options).stop({ type: "normal" });
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
