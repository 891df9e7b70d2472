// Topics of two and of four processes on real brokers: killed and started again, stopped and continued, under load.

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Engine, has } from "./engine.ts";

// A process notes what it hears, by way of `frame`, and does what it is told over the channel.
const program = `
import diagnostics_channel from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import * as mist from "@x/mist";
import { nats } from "@x/mist/relay/nats";
import { redis } from "@x/mist/relay/redis";
import { createClient } from "redis";

const [kind, port, name, room] = process.argv.slice(2);
const client = createClient({ socket: { host: "127.0.0.1", port: Number(port), reconnectStrategy: 50 } });
const relay = kind === "nats"
  ? nats({ servers: "127.0.0.1:" + port, reconnectTimeWait: 50 })
  : redis(client, { streams: kind === "streams" && { maxLength: 1_000_000 } });

const heard = {};
const dropped = [];
let states = [];
diagnostics_channel.subscribe("mist:topics:dropped", ({ reason }) => dropped.push(reason));
diagnostics_channel.subscribe("mist:topics:state", ({ state }) => states.push(state));
const topics = mist.topics({
  relay,
  replay: 10,
  frame({ data }) {
    const [who, number] = data.split(" ");
    (heard[who] ??= []).push(Number(number));
    return "";
  },
});
const member = { subject: {}, open: true, blocked: false, sendPrepared: async () => {}, close() {} };
let sent = 0;
let publishing;

async function publish(size) {
  const rest = " ".repeat(size);
  publishing = true;
  while (publishing) {
    for (let i = 0; i < 5; i++) topics.publish(room, name + " " + sent++ + rest);
    await sleep(4);
  }
}

const until = async (condition) => { while (!condition()) await sleep(5); };

const orders = {
  join: () => topics.join(member, room, { after: "AAAAAAAA.1" }).replay.then(() => topics.state),
  publish: ({ size = 0 }) => void publish(size),
  pause: () => { publishing = false; return sent; },
  state: async ({ state }) => { await until(() => states.includes(state)); states = []; },
  heard: async ({ who, number }) => { await until(() => heard[who]?.at(-1) >= number); return heard; },
  dropped: () => dropped,
  rss: () => process.memoryUsage().rss,
  close: async () => { await topics.close(); process.disconnect(); },
};
process.on("message", async ({ does, ...order }) => {
  const answer = await orders[does](order);
  if (process.connected) process.send({ answer });
});
process.send({ answer: "ready" });
`;

let directory: string;
beforeAll(async () => {
  // Inside the package, where `@x/mist` is the package itself.
  directory = await mkdtemp(fileURLToPath(new URL("../processes-", import.meta.url)));
  await writeFile(`${directory}/main.mjs`, program);
});
afterAll(() => rm(directory, { recursive: true }));

type Heard = Record<string, readonly number[]>;

class Member {
  readonly name: string;
  readonly #child: ChildProcess;

  constructor(kind: string, port: number, name: string, room: string) {
    this.name = name;
    this.#child = spawn(process.execPath, [`${directory}/main.mjs`, kind, String(port), name, room], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  async #answer(): Promise<unknown> {
    const [{ answer }] = (await once(this.#child, "message")) as [{ answer: unknown }];
    return answer;
  }

  ready(): Promise<unknown> {
    return this.#answer();
  }

  async ask<Answer>(does: string, order: object = {}): Promise<Answer> {
    const answer = this.#answer();
    this.#child.send({ does, ...order });
    return (await answer) as Answer;
  }

  /** Ends by itself, once its topics are closed. */
  async close(): Promise<number> {
    const exited = once(this.#child, "exit");
    this.#child.send({ does: "close" });
    return (await exited)[0];
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

async function members(kind: string, engine: Engine, count: number): Promise<Member[]> {
  const room = randomUUID();
  const all = ["a", "b", "c", "d"].slice(0, count).map((name) => new Member(kind, engine.port, name, room));
  onTestFinished(() => {
    for (const member of all) member.kill();
  });
  await Promise.all(all.map((member) => member.ready()));
  await Promise.all(all.map((member) => member.ask("state", { state: "connected" })));
  for (const state of await Promise.all(all.map((member) => member.ask("join")))) {
    expect(state).toBe("connected");
  }
  return all;
}

/** Everybody stops publishing and has heard the last of everybody. */
async function settle(all: readonly Member[]): Promise<{ sent: number[]; heard: Heard[] }> {
  const sent = await Promise.all(all.map((member) => member.ask<number>("pause")));
  for (const [i, { name }] of all.entries()) {
    await Promise.all(all.map((member) => member.ask("heard", { who: name, number: sent[i]! - 1 })));
  }
  const heard = await Promise.all(all.map((member) => member.ask<Heard>("heard", { who: "a", number: 0 })));
  return { sent, heard };
}

const kinds = [
  ["nats", "nats-server", 4],
  ["redis", "redis-server", 2],
  ["streams", "redis-server", 4],
] as const;

describe.each(kinds)("%s", (kind, server, count) => {
  describe.runIf(has(server))(`${count} processes`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = server === "nats-server" ? await Engine.nats() : await Engine.redis({ durable: true });
    });
    afterAll(() => engine.remove());

    test("hear each other while the broker dies and comes back: in order, nothing twice, nothing lost that was promised", async () => {
      const all = await members(kind, engine, count);
      for (const member of all) await member.ask("publish");
      for (let round = 0; round < 2; round++) {
        const lost = all.map((member) => member.ask("state", { state: "disconnected" }));
        await engine.kill();
        await Promise.all(lost);
        const back = all.map((member) => member.ask("state", { state: "connected" }));
        await engine.start();
        await Promise.all(back);
      }
      // Everybody is back: from here on nothing is lost on any engine.
      const since = await Promise.all(all.map((member) => member.ask<number>("pause")));
      for (const member of all) await member.ask("publish");
      await all[0]!.ask("heard", { who: all.at(-1)!.name, number: since.at(-1)! + 100 });
      const { sent, heard } = await settle(all);
      for (const ears of heard) {
        for (const [i, { name }] of all.entries()) {
          const numbers = ears[name]!;
          const first = kind === "streams" || ears === heard[i] ? 0 : since[i]!;
          const expected = Array.from({ length: sent[i]! - first }, (_, at) => first + at);
          expect(numbers.filter((number) => number >= first)).toEqual(expected);
          expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
        }
      }
      for (const member of all) expect(await member.ask("dropped")).toEqual([]);
      expect(await Promise.all(all.map((member) => member.close()))).toEqual(all.map(() => 0));
    });

    // faults.test.ts has it for the others.
    test.runIf(kind === "redis")(
      "wait, within bounds, for a broker that hangs, and then hear each other again",
      async () => {
        const [a, b] = (await members(kind, engine, 2)) as [Member, Member];
        engine.freeze();
        const before = await a.ask<number>("rss");
        await a.ask("publish", { size: 60_000 });
        const dropped = async () => (await a.ask<string[]>("dropped")).length;
        while ((await dropped()) < 100) await new Promise((resolve) => setImmediate(resolve));
        const growth = (await a.ask<number>("rss")) - before;
        const number = await a.ask<number>("pause");
        engine.thaw();
        await a.ask("publish");
        await b.ask("heard", { who: "a", number });
        const sent = await a.ask<number>("pause");
        const { a: numbers = [] } = await b.ask<Heard>("heard", { who: "a", number: sent - 1 });
        expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
        expect(numbers.length).toBe(sent - (await dropped()));
        // 8 MiB wait; the client and the heap may hold them a few times over.
        expect(growth).toBeLessThan(128 * 1024 * 1024);
        for (const member of [a, b]) await member.close();
      },
    );
  });
});
