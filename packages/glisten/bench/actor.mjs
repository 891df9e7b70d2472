/**
 * What one message costs, in nanoseconds: through the loop, through an actor's subject, through a mailbox; beside
 * an EventEmitter's emit and a bare function call. Each line is the best of several rounds, the rounds of all
 * lines interleaved, and every line checks that its messages were handled.
 *
 * Build the package first. Usage: node bench/actor.mjs [messages per round, default 1000000]
 */

import { EventEmitter } from "node:events";
import { factorySupervisor, Loop, selector, start, subject } from "@x/glisten/actor";

const MESSAGES = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = 5;

const cases = [
  ["bare function call", bareCall],
  ["EventEmitter emit", emit],
  ["Loop deliver, state unchanged", deliver],
  ["Loop deliver, continue(state)", deliverContinue],
  ["Loop post", post],
  ["actor subject.send", send],
  ["subject through a selector with a map", sendThroughSelector],
  ["send from inside a handler (mailbox)", mailbox],
  ["ping-pong between two actors, per message", pingPong],
  ["Loop deliver, async handler", deliverAsync],
  ["new Loop and stop", lifecycle],
  ["factory adopt and childExited", adopt],
];

function check(count, wanted = MESSAGES) {
  if (count !== wanted) throw new Error(`${count} messages handled, not ${wanted}`);
}

async function bareCall() {
  const state = { count: 0 };
  const handle = (counter, message) => {
    counter.count += message;
  };
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) handle(state, 1);
  const ended = process.hrtime.bigint();
  check(state.count);
  return ended - began;
}

async function emit() {
  const emitter = new EventEmitter();
  let count = 0;
  emitter.on("message", (message) => {
    count += message;
  });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) emitter.emit("message", 1);
  const ended = process.hrtime.bigint();
  check(count);
  return ended - began;
}

function countingLoop() {
  return new Loop({
    state: { count: 0 },
    handle: (state, message) => {
      state.count += message;
    },
  });
}

async function deliver() {
  const loop = countingLoop();
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) loop.deliver(1);
  const ended = process.hrtime.bigint();
  check(loop.state.count);
  return ended - began;
}

async function deliverContinue() {
  const { continue: next } = await import("@x/glisten/actor");
  const loop = new Loop({ state: 0, handle: (state, message) => next(state + message) });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) loop.deliver(1);
  const ended = process.hrtime.bigint();
  check(loop.state);
  return ended - began;
}

async function post() {
  const loop = countingLoop();
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) loop.post(1);
  const ended = process.hrtime.bigint();
  check(loop.state.count);
  return ended - began;
}

async function send() {
  let count = 0;
  const actor = await start({
    init: () => 0,
    loop: (_state, message) => {
      count += message;
    },
  });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) actor.subject.send(1);
  const ended = process.hrtime.bigint();
  check(count);
  return ended - began;
}

async function sendThroughSelector() {
  const source = subject();
  const loop = new Loop({
    state: { count: 0 },
    selector: selector().selectMap(source, (message) => message + 1),
    handle: (state, message) => {
      state.count += message;
    },
  });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) source.send(0);
  const ended = process.hrtime.bigint();
  check(loop.state.count);
  return ended - began;
}

async function mailbox() {
  const batch = 100;
  const loop = new Loop({
    state: { count: 0 },
    handle: (state, message) => {
      state.count += 1;
      if (message === 1) for (let i = 1; i < batch; i += 1) loop.post(0);
    },
  });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += batch) loop.post(1);
  const ended = process.hrtime.bigint();
  check(loop.state.count);
  return ended - began;
}

async function pingPong() {
  const { promise, resolve } = deferred();
  let count = 0;
  const bounce = (peer) => (_state, left) => {
    count += 1;
    if (left === 0) resolve();
    else peer().post(left - 1);
  };
  const a = new Loop({ state: 0, handle: bounce(() => b) });
  const b = new Loop({ state: 0, handle: bounce(() => a) });
  const began = process.hrtime.bigint();
  a.post(MESSAGES - 1);
  await promise;
  const ended = process.hrtime.bigint();
  check(count);
  return ended - began;
}

async function deliverAsync() {
  const loop = new Loop({
    state: { count: 0 },
    handle: async (state, message) => {
      state.count += message;
    },
  });
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) await loop.deliver(1);
  const ended = process.hrtime.bigint();
  check(loop.state.count);
  return ended - began;
}

async function lifecycle() {
  let exits = 0;
  const handle = () => {};
  const onExit = () => {
    exits += 1;
  };
  const reason = { type: "normal" };
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) new Loop({ state: i, handle, onExit }).stop(reason);
  const ended = process.hrtime.bigint();
  check(exits);
  return ended - began;
}

async function adopt() {
  const alive = 10_000;
  const factory = factorySupervisor();
  const children = Array.from({ length: alive }, () => ({ shutdown() {}, kill() {} }));
  for (const child of children) factory.adopt(child);
  const began = process.hrtime.bigint();
  for (let i = 0; i < MESSAGES; i += 1) {
    const child = { shutdown() {}, kill() {} };
    factory.adopt(child);
    factory.childExited(children[i % alive]);
    children[i % alive] = child;
  }
  const ended = process.hrtime.bigint();
  check(factory.count, alive);
  factory.kill();
  return ended - began;
}

function deferred() {
  let resolve;
  const promise = new Promise((give) => {
    resolve = give;
  });
  return { promise, resolve };
}

const best = new Map();
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, run] of cases) {
    const took = Number(await run()) / MESSAGES;
    best.set(name, Math.min(took, best.get(name) ?? Number.POSITIVE_INFINITY));
  }
}

const emitCost = best.get("EventEmitter emit");
for (const [name, cost] of best) {
  const ratio = (cost / emitCost).toFixed(2);
  console.log(`${name.padEnd(44)} ${cost.toFixed(1).padStart(8)} ns   ${ratio.padStart(6)} x emit`);
}
