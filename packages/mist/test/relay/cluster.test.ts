// The cluster relay: the cases of every relay on a hub in this process, and topics of real workers.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { EventSource } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { clusterRelay } from "../../src/relay/cluster/cluster.ts";
import { relayCases } from "../../src/relay/testing/testing.ts";

describe.each([
  ["without history", 0],
  ["with history", 100],
])("%s", (_what, keep) => {
  const cases = relayCases({
    create: () => clusterRelay({ keep }),
    keeps: keep > 0,
    carriesBytes: 8 * 1024 * 1024,
  });
  for (const { name, run } of cases) test(name, run);
});

test("a wrong option is refused", () => {
  expect(() => clusterRelay({ keep: -1 })).toThrow("keep must be an integer of at least 0, got -1");
  expect(() => clusterRelay({ kept: 1 } as never)).toThrow('clusterRelay has no option "kept"');
});

// Every process notes what it hears, by way of `frame`, and does what it is told over the channel.
const program = `
import cluster from "node:cluster";
import diagnostics_channel from "node:diagnostics_channel";
import * as mist from "@x/mist";
import { clusterRelay } from "@x/mist/relay/cluster";

const heard = [];
const states = [];
diagnostics_channel.subscribe("mist:topics:state", ({ state }) => states.push(state));
const topics = mist.topics({
  relay: clusterRelay({ keep: 50 }),
  replay: 10_000,
  unsent: { bytes: 256 * 1024 * 1024 },
  frame({ data }) { heard.push(data); return ""; },
});
const member = { subject: {}, open: true, blocked: false, sendPrepared: async () => {}, close() {} };
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function obey({ does, ...order }) {
  switch (does) {
    case "join":
      await topics.join(member, "room", { after: "AAAAAAAA.1" }).replay;
      return topics.state;
    case "publish":
      for (let i = 0; i < order.count; i++) {
        topics.publish("room", order.name + " " + i + " ".repeat(order.size ?? 0));
        if (i % 100 === 99) await turn();
      }
      return heard.length;
    case "count": return heard.length;
    case "heard": return heard.splice(0).map((text) => text.trimEnd());
    case "states": return states.splice(0);
    case "rss": return process.memoryUsage().rss;
  }
}

const handler = (request) => mist.serverSentEvents({
  request,
  retryOnStopMs: 10,
  init: (stream) => void topics.join(stream, "numbers"),
  loop: () => undefined,
});
const running = await mist.cluster(() => mist.new(handler).port(0).afterStart(() => {}), {
  workers: Number(process.env.WORKERS),
  onStop: () => topics.close(),
});
if (running.role === "worker") {
  process.on("message", async ({ question, ...order }) => {
    if (question !== undefined) process.send({ question, answer: await obey(order) });
  });
} else {
  cluster.on("message", (_worker, { question, answer }) => {
    if (question !== undefined) process.send({ question, answer });
  });
  let ticking;
  process.on("message", async ({ question, to, ...order }) => {
    const own = {
      async numbers() {
        let n = 0;
        ticking = setInterval(() => topics.publish("numbers", String(n++)), 2);
      },
      async enough() { clearInterval(ticking); },
      reload: () => running.reload(),
      info: () => running.info(),
      async stop() { await running.stop(); await topics.close(); },
    }[order.does];
    if (own !== undefined) process.send({ question, answer: await own() });
    else if (to === "primary") process.send({ question, answer: await obey(order) });
    else Object.values(cluster.workers).find((worker) => worker.process.pid === to).send({ question, ...order });
    if (order.does === "stop") process.disconnect();
  });
  process.send({ question: 0 });
}
`;

interface Order {
  readonly does: string;
  readonly to?: number | "primary";
  readonly name?: string;
  readonly count?: number;
  readonly size?: number;
}

class Program {
  /** Its exit code. */
  readonly exited: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #questions = new Map<number, (answer: unknown) => void>();
  #last = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.exited = new Promise((resolve) => child.once("exit", resolve));
    child.on("message", ({ question, answer }: { question: number; answer: unknown }) => {
      this.#questions.get(question)?.(answer);
    });
  }

  static async start(workers: number): Promise<Program> {
    const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
    // Inside the package, where `@x/mist` is the package itself.
    const directory = await mkdtemp(`${packageDirectory}test/cluster-`);
    const file = `${directory}/main.mjs`;
    await writeFile(file, program);
    const env = { ...process.env, WORKERS: `${workers}` };
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "inherit", "inherit", "ipc"], env });
    const started = new Program(child);
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const { workers: pids } = (await started.ask({ does: "info" })) as { workers: number[] };
        child.kill("SIGKILL");
        for (const pid of pids) kill(pid, "SIGKILL");
      }
      await started.exited;
      await rm(directory, { recursive: true });
    });
    await new Promise((resolve) => started.#questions.set(0, resolve));
    return started;
  }

  ask(order: Order): Promise<unknown> {
    const question = ++this.#last;
    return new Promise((resolve) => {
      this.#questions.set(question, resolve);
      this.#child.send({ question, ...order });
    });
  }

  async workers(): Promise<number[]> {
    return ((await this.ask({ does: "info" })) as { workers: number[] }).workers;
  }

  /** Waits until that process has heard so many messages. */
  async heard(to: number | "primary", count: number): Promise<string[]> {
    while (((await this.ask({ does: "count", to })) as number) < count);
    return (await this.ask({ does: "heard", to })) as string[];
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

const numbered = (name: string | number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${name} ${i}`);

describe.each([2, 4])("%i workers and their primary", (count) => {
  test("hear everything once, in order of each publisher", { timeout: 60_000 }, async () => {
    const running = await Program.start(count);
    const everybody = ["primary" as const, ...(await running.workers())];
    await Promise.all(everybody.map((to) => running.ask({ does: "join", to })));
    await Promise.all(
      everybody.map((to) => running.ask({ does: "publish", to, name: `${to}`, count: 1000, size: 100 })),
    );
    for (const to of everybody) {
      const heard = await running.heard(to, 1000 * everybody.length);
      expect(heard).toHaveLength(1000 * everybody.length);
      for (const name of everybody)
        expect(heard.filter((text) => text.startsWith(`${name} `))).toEqual(numbered(name, 1000));
    }
  });
});

test("a worker that crashes costs the others nothing, and its successor takes part", {
  timeout: 60_000,
}, async () => {
  const running = await Program.start(3);
  const [one, two, crashing] = (await running.workers()) as [number, number, number];
  await Promise.all([one, two, crashing].map((to) => running.ask({ does: "join", to })));
  const publishing = running.ask({ does: "publish", to: one, name: "one", count: 5000, size: 500 });
  void running.ask({ does: "publish", to: crashing, name: "crashing", count: 100_000 });
  while (((await running.ask({ does: "count", to: two })) as number) < 100);
  kill(crashing, "SIGKILL");
  await publishing;
  for (const to of [one, two]) {
    let heard: string[] = [];
    while (heard.filter((text) => text.startsWith("one")).length < 5000)
      heard = [...heard, ...((await running.ask({ does: "heard", to })) as string[])];
    expect(heard.filter((text) => text.startsWith("one"))).toEqual(numbered("one", 5000));
    const others = heard.filter((text) => text.startsWith("crashing"));
    expect(others).toEqual(numbered("crashing", others.length));
  }
  let workers = await running.workers();
  while (workers.length < 3 || workers.includes(crashing)) workers = await running.workers();
  const successor = workers.find((pid) => pid !== one && pid !== two)!;
  await running.ask({ does: "join", to: successor });
  await running.ask({ does: "publish", to: successor, name: "successor", count: 10 });
  for (const to of [one, two]) {
    let heard: string[] = [];
    while (heard.at(-1) !== "successor 9")
      heard = [...heard, ...((await running.ask({ does: "heard", to })) as string[])];
  }
});

test("an event stream hears every number once while all workers are replaced", {
  timeout: 60_000,
}, async () => {
  const running = await Program.start(2);
  const { address } = (await running.ask({ does: "info" })) as { address: { port: number } };
  const sources = Array.from({ length: 6 }, () => {
    const source = new EventSource(`http://127.0.0.1:${address.port}/`);
    onTestFinished(() => source.close());
    const numbers: number[] = [];
    let gaps = 0;
    source.onmessage = ({ data }) => numbers.push(Number(data));
    source.addEventListener("gap", () => gaps++);
    return { source, numbers, gaps: () => gaps };
  });
  await running.ask({ does: "numbers" });
  const all = (condition: (each: (typeof sources)[0]) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => void (sources.every(condition) ? resolve() : setTimeout(look, 10));
      look();
    });
  await all(({ numbers }) => numbers.length > 20);
  for (let i = 0; i < 2; i++) await running.ask({ does: "reload" });
  const now = Math.max(...sources.map(({ numbers }) => numbers.at(-1)!));
  await all(({ numbers }) => numbers.at(-1)! > now + 100);
  await running.ask({ does: "enough" });
  for (const { numbers, gaps } of sources) {
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => numbers[0]! + i));
    expect(gaps()).toBe(0);
  }
});

test("a worker that is stopped costs the primary bounded memory, and then hears the last messages", {
  timeout: 60_000,
}, async () => {
  const running = await Program.start(3);
  const [one, two, stopped] = (await running.workers()) as [number, number, number];
  await Promise.all([one, two, stopped].map((to) => running.ask({ does: "join", to })));
  await running.ask({ does: "publish", to: one, name: "before", count: 100, size: 10_000 });
  for (const to of [two, stopped]) await running.heard(to, 100);
  await running.ask({ does: "states", to: stopped });
  const before = (await running.ask({ does: "rss", to: "primary" })) as number;
  kill(stopped, "SIGSTOP");
  try {
    // 200 MB, of which the stopped worker can have no more than 16 MiB wait for it.
    for (let round = 0; round < 20; round++) {
      await running.ask({ does: "publish", to: one, name: `round-${round}`, count: 1000, size: 10_000 });
      expect(await running.heard(two, 1000)).toEqual(numbered(`round-${round}`, 1000));
    }
    const growth = ((await running.ask({ does: "rss", to: "primary" })) as number) - before;
    expect(growth).toBeLessThan(150 * 1024 * 1024);
  } finally {
    kill(stopped, "SIGCONT");
  }
  let heard: string[] = [];
  while (heard.at(-1) !== "round-19 999")
    heard = [...heard, ...((await running.ask({ does: "heard", to: stopped })) as string[])];
  expect(heard.slice(-50)).toEqual(numbered("round-19", 1000).slice(-50));
  expect(new Set(heard).size).toBe(heard.length);
  expect(await running.ask({ does: "states", to: stopped })).toEqual(["disconnected", "connected"]);
  await running.ask({ does: "publish", to: two, name: "after", count: 10 });
  expect(await running.heard(stopped, 10)).toEqual(numbered("after", 10));
});

test("a cluster that stops closes its topics, and ends", { timeout: 60_000 }, async () => {
  const running = await Program.start(2);
  await Promise.all((await running.workers()).map((to) => running.ask({ does: "join", to })));
  await running.ask({ does: "stop" });
  expect(await running.exited).toBe(0);
});
