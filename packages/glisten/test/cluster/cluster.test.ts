// Two workers, real processes: they share a port, are restarted, replaced and stopped together.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as mug from "@x/mug";
import { describe, expect, it, onTestFinished } from "vitest";
import { cluster } from "../../src/cluster/cluster.ts";
import { UsageError } from "../../src/errors.ts";
import { builtSources } from "../built.ts";

// Answers every packet with its process id; `die` ends the process.
const program = (built: string, options: string, start: string) => `
import { cluster } from ${JSON.stringify(join(built, "cluster/cluster.js"))};
import * as glisten from ${JSON.stringify(join(built, "index.js"))};

const builder = glisten.new(() => 0, (count, message, connection) => {
  if (message.type !== "packet") return;
  if (message.data.toString() === "die") process.exit(3);
  connection.send(String(process.pid));
});
const say = (value) => process.send({ test: value });
try {
  const running = await cluster(() => ${start}, ${options});
  if (running.role === "primary") {
    say(await running.info());
    running.closed.then((reason) => say({ closed: reason.type }));
    process.on("message", async (order) => {
      if (order === "info") say(await running.info());
      if (order === "reload") say(await running.reload().then(() => "reloaded", (error) => error.message));
      if (order === "stop") { say(await running.stop({ deadlineMs: 5000 })); process.disconnect(); }
    });
  }
} catch (error) {
  if (process.send && !process.env.NODE_UNIQUE_ID) { say({ failed: error.name + ": " + error.message }); process.disconnect(); }
  else process.exit(1);
}
`;

interface Running {
  /** The next thing the primary says. */
  heard(): Promise<unknown>;
  say(order: "info" | "reload" | "stop"): void;
  readonly exited: Promise<number | null>;
}

async function run(options: string, start = "builder.start(0)"): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), "glisten-cluster-"));
  const file = join(directory, "main.mjs");
  await writeFile(file, program(await builtSources(), options, start));
  const child: ChildProcess = spawn(process.execPath, [file], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true, force: true });
  });
  const inbox: unknown[] = [];
  const waiting: ((value: unknown) => void)[] = [];
  child.on("message", (message: { test?: unknown }) => {
    const waiter = waiting.shift();
    if (waiter === undefined) inbox.push(message.test);
    else waiter(message.test);
  });
  return {
    heard: () =>
      inbox.length > 0 ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve)),
    say: (order) => void child.send(order),
    exited,
  };
}

interface Info {
  readonly address: { readonly port: number };
  readonly workers: readonly number[];
  readonly connections: number;
  readonly accepted: number;
}

async function ask(port: number, text: string): Promise<number> {
  await using socket = await mug.new("127.0.0.1", { port }).timeout(5000).connect();
  await socket.send(text);
  return Number(await socket.receive({ timeout: 5000 }));
}

describe("a cluster of two", () => {
  it("serves one port from both workers, and sums what they count", async () => {
    const running = await run("{ workers: 2 }");
    const { address, workers } = (await running.heard()) as Info;
    expect(new Set(workers).size).toBe(2);
    const answered = new Set<number>();
    for (let i = 0; i < 8; i++) answered.add(await ask(address.port, "who"));
    expect([...answered].sort()).toEqual([...workers].sort());
    running.say("info");
    expect(((await running.heard()) as Info).accepted).toBe(8);
  });

  it("starts a worker that died again", async () => {
    const running = await run("{ workers: 2 }");
    const { address, workers } = (await running.heard()) as Info;
    await ask(address.port, "die").catch(() => {});
    await expect
      .poll(
        async () => {
          running.say("info");
          const info = (await running.heard()) as Info;
          return info.workers.filter((pid) => !workers.includes(pid)).length;
        },
        { timeout: 15_000 },
      )
      .toBe(1);
    for (let i = 0; i < 4; i++) expect(await ask(address.port, "who")).toBeGreaterThan(0);
  });

  it("replaces its workers without refusing or losing a connection", async () => {
    const running = await run("{ workers: 2, stopDeadlineMs: 3000 }");
    const { address, workers } = (await running.heard()) as Info;
    let reloaded: unknown;
    running.say("reload");
    const done = running.heard().then((value) => {
      reloaded = value;
    });
    const answered = new Set<number>();
    while (reloaded === undefined) answered.add(await ask(address.port, "who"));
    await done;
    expect(reloaded).toBe("reloaded");
    running.say("info");
    const after = (await running.heard()) as Info;
    expect(after.workers.some((pid) => workers.includes(pid))).toBe(false);
    expect(after.address).toEqual(address);
    expect(answered).not.toContain(Number.NaN);
  });

  it("stops all at once, and reports connections drained and killed", async () => {
    const running = await run("{ workers: 2, stopDeadlineMs: 300 }");
    const { address } = (await running.heard()) as Info;
    await using idle = await mug.new("127.0.0.1", { port: address.port }).timeout(5000).connect();
    await idle.send("who");
    await idle.receive({ timeout: 5000 });
    running.say("stop");
    const heard = [await running.heard(), await running.heard()];
    expect(heard).toContainEqual({ drained: 0, killed: 1 });
    expect(heard).toContainEqual({ closed: "shutdown" });
    expect(await running.exited).toBe(0);
  });

  it("says in one sentence why it cannot start", async () => {
    const running = await run("{ workers: 2 }", "builder.bind('nowhere').start(0)");
    expect(await running.heard()).toMatchObject({ failed: expect.stringMatching(/nowhere/) });
  });
});

describe("options", () => {
  it.each([{ workers: 0 }, { workers: 1.5 }, { startTimeoutMs: -1 }, { stopDeadlineMs: 0 }])(
    "refuses %j",
    async (options) => {
      await expect(cluster(async () => undefined as never, options)).rejects.toThrow(UsageError);
    },
  );
});
