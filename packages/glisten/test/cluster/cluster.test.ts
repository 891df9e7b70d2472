/** Two workers, real processes: they share an address, are restarted, replaced and stopped together. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as mug from "@x/mug";
import { describe, expect, it, onTestFinished } from "vitest";
import { cluster } from "../../src/cluster/cluster.ts";
import { UsageError } from "../../src/errors.ts";
import { builtSources } from "../built.ts";
import { testCertificates } from "../certificates.ts";

// Answers every packet with its process id; `die` ends the process.
const program = (built: string, options: string, start: string) => `
import nodeCluster from "node:cluster";
import { appendFileSync } from "node:fs";
import { cluster } from ${JSON.stringify(join(built, "cluster/cluster.js"))};
import * as glisten from ${JSON.stringify(join(built, "index.js"))};

const never = new Promise(() => {});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const worker = String(nodeCluster.worker?.id); // "1", "2", and so on in the order they were forked
const builder = glisten.new(() => 0, async (count, message, connection) => {
  if (message.type !== "packet") return;
  const asked = message.data.toString();
  if (asked === "die") process.exit(3);
  if (asked === "slow") await sleep(1000);
  if (asked === "stopping") return void connection.send(String(Number(connection.stopping.aborted)));
  connection.send(String(process.pid));
});
const say = (value) => process.connected && process.send({ test: value });
try {
  const running = await cluster(() => ${start}, ${options});
  if (running.role === "primary") {
    say(await running.info());
    running.closed.then((reason) => say({ closed: reason.type }));
    process.on("message", async (order) => {
      if (order === "info") say(await running.info());
      if (order === "reload") say(await running.reload().then(() => "reloaded", (error) => error.message));
      if (order === "ping") say("pong");
      if (!order.startsWith("stop")) return;
      const [deadlineMs, delayMs = 0] = order.split(" ").slice(1).map(Number);
      say(await running.stop({ deadlineMs, delayMs }));
      if (process.connected) process.disconnect();
    });
  }
} catch (error) {
  if (nodeCluster.isPrimary) { say({ failed: error.name + ": " + error.message }); process.disconnect(); }
  else process.exit(1);
}
`;

interface Running {
  /** The next thing the primary says. */
  heard(): Promise<unknown>;
  say(order: "info" | "reload" | "ping" | `stop ${number}` | `stop ${number} ${number}`): void;
  /** What primary and workers have printed to stderr so far. */
  printed(): string;
  /** The primary has ended. */
  readonly exited: Promise<number | null>;
  readonly pid: number;
}

async function run(options: string, start = "builder.start(0)"): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), "glisten-cluster-"));
  const file = join(directory, "main.mjs");
  await writeFile(file, program(await builtSources(), options, start));
  const child: ChildProcess = spawn(process.execPath, [file], {
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  let printed = "";
  child.stderr!.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
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
    printed: () => printed,
    exited,
    pid: child.pid!,
  };
}

interface Info {
  readonly address: { readonly port: number; readonly path: string };
  readonly workers: readonly number[];
  readonly connections: number;
  readonly accepted: number;
}

async function ask(where: number | mug.ConnectOptions, text: string): Promise<number> {
  const target = typeof where === "number" ? { host: "127.0.0.1", port: where } : where;
  await using socket = await mug.connect({ timeout: 5000, ...target });
  await socket.send(text);
  return Number(await socket.receive({ timeout: 5000 }));
}

async function workersOf(running: Running): Promise<readonly number[]> {
  running.say("info");
  return ((await running.heard()) as Info).workers;
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 15_000 }).toBe(true);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const onLinux = process.platform === "linux";

/** Every process whose parent this is, found where Linux lists them. */
function childrenOf(pid: number): readonly number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return list.split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // it has ended
  }
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
    await eventually(async () => {
      const now = await workersOf(running);
      return now.length === 2 && now.some((pid) => !workers.includes(pid));
    });
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
    const running = await run("{ workers: 2 }");
    const { address } = (await running.heard()) as Info;
    await using idle = await mug.new("127.0.0.1", { port: address.port }).timeout(5000).connect();
    await idle.send("who");
    await idle.receive({ timeout: 5000 });
    running.say("stop 300");
    const heard = [await running.heard(), await running.heard()];
    expect(heard).toContainEqual({ drained: 0, killed: 1 });
    expect(heard).toContainEqual({ closed: "shutdown" });
    expect(await running.exited).toBe(0);
  });

  it("can be given more time to stop than its options say", async () => {
    const running = await run("{ workers: 2, stopDeadlineMs: 50 }");
    const { address } = (await running.heard()) as Info;
    const answer = ask(address.port, "slow");
    await eventually(async () => {
      running.say("info");
      return ((await running.heard()) as Info).connections === 1;
    });
    running.say("stop 10000");
    const pid = await answer;
    expect(pid).toBeGreaterThan(0);
    expect([await running.heard(), await running.heard()]).toContainEqual({ drained: 1, killed: 0 });
  });

  it("finishes what its workers are at when the primary is killed", async () => {
    const running = await run("{ workers: 2 }");
    const { address, workers } = (await running.heard()) as Info;
    const answers = [ask(address.port, "slow"), ask(address.port, "slow")];
    await eventually(async () => {
      running.say("info");
      return ((await running.heard()) as Info).connections === 2;
    });
    process.kill(running.pid, "SIGKILL");
    expect((await Promise.all(answers)).sort()).toEqual([...workers].sort());
    await eventually(() => !workers.some(isAlive));
    await expect(ask(address.port, "who")).rejects.toMatchObject({ code: "econnrefused" });
  });

  it("serves a unix socket, whose file goes with it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "glisten-cluster-"));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const path = join(directory, "socket");
    const running = await run("{ workers: 2 }", `builder.start({ path: ${JSON.stringify(path)} })`);
    const { address, workers } = (await running.heard()) as Info;
    expect(address).toEqual({ path });
    const answered = [await ask({ path }, "who"), await ask({ path }, "who")];
    expect(answered.sort()).toEqual([...workers].sort());
    running.say("reload");
    expect(await running.heard()).toBe("reloaded");
    expect(workers).not.toContain(await ask({ path }, "who"));
    running.say("stop 10000");
    expect(await running.exited).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  it("shakes hands in its workers", async () => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const tls = JSON.stringify({ certfile, keyfile });
    const running = await run("{ workers: 2 }", `builder.withTls(${tls}).start(0)`);
    const { address, workers } = (await running.heard()) as Info;
    const target = { host: "127.0.0.1", port: address.port, tls: { dangerouslyDisableVerification: true } };
    const answered = [await ask(target, "who"), await ask(target, "who")];
    expect(answered.sort()).toEqual([...workers].sort());
  });
});

describe("a reload", () => {
  it("that fails half way leaves the rest in place, and says why", async () => {
    const start = "worker === '4' ? Promise.reject(new Error('no such table')) : builder.start(0)";
    const running = await run("{ workers: 2 }", start);
    const { address, workers } = (await running.heard()) as Info;
    running.say("reload");
    expect(await running.heard()).toBe("A worker could not start: no such table");
    const after = await workersOf(running);
    expect(after).toHaveLength(2);
    expect(after.filter((pid) => workers.includes(pid))).toHaveLength(1);
    const answered = [await ask(address.port, "who"), await ask(address.port, "who")];
    expect(answered.sort()).toEqual([...after].sort());
  });

  it.runIf(onLinux)("ends with the cluster when that is stopped meanwhile; no process is left", async () => {
    const running = await run("{ workers: 2 }", "worker === '3' ? never : builder.start(0)");
    const { workers } = (await running.heard()) as Info;
    running.say("reload");
    await eventually(() => childrenOf(running.pid).length === 3);
    const pids = [...workers, ...childrenOf(running.pid)];
    running.say("stop 10000");
    const heard = [await running.heard(), await running.heard(), await running.heard()];
    expect(heard).toContain("The cluster was stopped before a worker had been replaced.");
    expect(heard).toContainEqual({ drained: 0, killed: 0 });
    expect(await running.exited).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it.runIf(onLinux)(
    "whose old worker crashes meanwhile ends with as many workers as there were",
    async () => {
      const running = await run(
        "{ workers: 2 }",
        "(worker === '3' ? sleep(700) : sleep(0)).then(() => builder.start(0))",
      );
      const { workers } = (await running.heard()) as Info;
      running.say("reload");
      await eventually(() => childrenOf(running.pid).length === 3);
      process.kill(workers[0]!, "SIGKILL");
      expect(await running.heard()).toBe("reloaded");
      await eventually(async () => (await workersOf(running)).length === 2);
      expect((await workersOf(running)).filter((pid) => workers.includes(pid))).toEqual([]);
      expect(childrenOf(running.pid)).toHaveLength(2);
    },
  );
});

describe("a stop with a delay", () => {
  it("keeps the workers accepting, with their signals aborted", async () => {
    const running = await run("{ workers: 2 }");
    const { address } = (await running.heard()) as Info;
    expect(await ask(address.port, "stopping")).toBe(0);
    running.say("stop 5000 3600000");
    await eventually(async () => (await ask(address.port, "stopping")) === 1);
    expect(await ask(address.port, "who")).toBeGreaterThan(0);
    running.say("stop 5000");
    expect(await running.exited).toBe(0);
  });
});

describe("a worker that stops", () => {
  async function record() {
    const directory = await mkdtemp(join(tmpdir(), "glisten-cluster-"));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const file = join(directory, "record");
    await writeFile(file, "");
    return { append: `appendFileSync(${JSON.stringify(file)}, "x")`, read: () => readFileSync(file, "utf8") };
  }

  it("awaits onStop, also when the primary has died", async () => {
    const { append, read } = await record();
    const options = `{ workers: 2, onStop: async () => { await sleep(200); ${append}; } }`;
    const stopped = await run(options);
    await stopped.heard();
    stopped.say("stop 10000");
    expect(await stopped.exited).toBe(0);
    expect(read()).toBe("xx");
    const orphaned = await run(options);
    const { workers } = (await orphaned.heard()) as Info;
    process.kill(orphaned.pid, "SIGKILL");
    await eventually(() => !workers.some(isAlive));
    expect(read()).toBe("xxxx");
  });

  it("finishes what waits for server.closed", async () => {
    const { append, read } = await record();
    const cleanUp = `async () => { await sleep(200); ${append}; }`;
    const running = await run(
      "{ workers: 2 }",
      `builder.start(0).then((server) => { void server.closed.then(${cleanUp}); return server; })`,
    );
    await running.heard();
    running.say("stop 10000");
    expect(await running.exited).toBe(0);
    expect(read()).toBe("xx");
  });

  it("gives onStop time even if its server needs all of the deadline", async () => {
    const { append, read } = await record();
    const running = await run(`{ workers: 1, onStop: () => sleep(100).then(() => ${append}) }`);
    const { address } = (await running.heard()) as Info;
    await using idle = await mug.new("127.0.0.1", { port: address.port }).timeout(5000).connect();
    await idle.send("who");
    await idle.receive({ timeout: 5000 });
    running.say("stop 50");
    expect(await running.exited).toBe(0);
    expect(read()).toBe("x");
  });

  it.each([
    ["never settles", "never", "onStop failed: Error: the stop deadline passed before it settled"],
    ["rejects", "sleep(1).then(() => { throw new Error('no disk'); })", "onStop failed: Error: no disk"],
  ])("ends though its onStop %s, and says so", async (_, onStop, sentence) => {
    const running = await run(`{ workers: 1, onStop: () => ${onStop} }`);
    const { workers } = (await running.heard()) as Info;
    running.say("stop 100");
    expect([await running.heard(), await running.heard()]).toContainEqual({ drained: 0, killed: 0 });
    expect(await running.exited).toBe(0);
    expect(running.printed()).toContain(`worker ${workers[0]}: ${sentence}`);
  });

  it("exits at the deadline though something keeps it alive, and says so", async () => {
    const running = await run("{ workers: 1 }", "(setInterval(() => {}, 1000), builder.start(0))");
    const { workers } = (await running.heard()) as Info;
    running.say("stop 300");
    expect([await running.heard(), await running.heard()]).toContainEqual({ drained: 0, killed: 0 });
    expect(await running.exited).toBe(0);
    expect(running.printed()).toContain(
      `worker ${workers[0]}: something keeps it alive at the stop deadline`,
    );
  });

  it("is killed if it blocks its event loop", async () => {
    const running = await run("{ workers: 2, onStop: () => { if (worker === '1') for (;;); } }");
    const { workers } = (await running.heard()) as Info;
    running.say("stop 100");
    expect(await running.exited).toBe(0);
    expect(workers.filter(isAlive)).toEqual([]);
  });
});

describe("a worker that is killed", () => {
  it("takes with it the connection it was offered, and no other", async () => {
    const running = await run("{ workers: 2 }");
    const { address, workers } = (await running.heard()) as Info;
    for (const pid of workers) process.kill(pid, "SIGSTOP");
    const dial = () => mug.new("127.0.0.1", { port: address.port }).timeout(5000).connect();
    const sockets = [await dial(), await dial()];
    for (let turns = 0; turns < 5; turns++) {
      running.say("ping"); // both have been accepted, and offered, when the primary has had its turns
      await running.heard();
    }
    process.kill(workers[0]!, "SIGKILL");
    process.kill(workers[1]!, "SIGCONT");
    const answers = sockets.map(async (socket) => {
      await socket.send("who").catch(() => {});
      return await socket.receive({ timeout: 5000 }).then(String, (error) => error.code);
    });
    const [answer, end] = (await Promise.all(answers)).sort();
    expect(answer).toBe(String(workers[1]));
    expect(["closed", "econnreset"]).toContain(end);
    for (const socket of sockets) await socket.reset();
  });

  it("in the middle of a stop costs its own connections only", async () => {
    const running = await run("{ workers: 2 }");
    const { address, workers } = (await running.heard()) as Info;
    const settled = Promise.allSettled([ask(address.port, "slow"), ask(address.port, "slow")]);
    await eventually(async () => {
      running.say("info");
      return ((await running.heard()) as Info).connections === 2;
    });
    running.say("stop 10000");
    process.kill(workers[0]!, "SIGKILL");
    const outcomes = (await settled).map((each) => (each.status === "fulfilled" ? each.value : each.status));
    expect(outcomes.sort()).toEqual([workers[1], "rejected"]);
    expect([await running.heard(), await running.heard()]).toContainEqual({ drained: 1, killed: 0 });
    expect(await running.exited).toBe(0);
  });
});

describe("a cluster that gives up", () => {
  const atOnce = "workers: 2, intensity: { restarts: 0, withinMs: 60000 }";

  it("says why in one sentence and exits with code 1, though its channel keeps it alive", async () => {
    const running = await run(`{ ${atOnce} }`);
    const { address, workers } = (await running.heard()) as Info;
    await ask(address.port, "die").catch(() => {});
    expect(await running.heard()).toEqual({ closed: "abnormal" });
    expect(await running.exited).toBe(1);
    expect(running.printed().trim()).toBe(
      "The cluster gives up: its workers crashed more than 0 times within 60000 ms. The last: a worker ended with code 3",
    );
    expect(workers.filter(isAlive)).toEqual([]);
  });

  it("because its workers no longer start says so, too", async () => {
    const start = "Number(worker) > 2 ? Promise.reject(new Error('no such table')) : builder.start(0)";
    const running = await run("{ workers: 2, intensity: { restarts: 2, withinMs: 60000 } }", start);
    const { address } = (await running.heard()) as Info;
    await ask(address.port, "die").catch(() => {});
    expect(await running.heard()).toEqual({ closed: "abnormal" });
    expect(await running.exited).toBe(1);
    expect(running.printed()).toContain("The last: A worker could not start: no such table");
  });

  it("lets the other workers drain", async () => {
    const running = await run(`{ ${atOnce}, stopDeadlineMs: 5000 }`);
    const { address } = (await running.heard()) as Info;
    const slow = ask(address.port, "slow");
    await eventually(async () => {
      running.say("info");
      return ((await running.heard()) as Info).connections === 1;
    });
    await ask(address.port, "die").catch(() => {});
    expect(await slow).toBeGreaterThan(0);
    expect(await running.exited).toBe(1);
  });

  it("leaves the end to onGiveUp, even one that throws", async () => {
    const onGiveUp = "(error) => { say({ gaveUp: error.message }); throw new Error('in onGiveUp'); }";
    const running = await run(`{ ${atOnce}, onGiveUp: ${onGiveUp} }`);
    const { address } = (await running.heard()) as Info;
    await ask(address.port, "die").catch(() => {});
    expect(await running.heard()).toMatchObject({
      gaveUp: expect.stringContaining("crashed more than 0 times"),
    });
    expect(await running.heard()).toEqual({ closed: "abnormal" });
    running.say("stop 100");
    expect(await running.heard()).toEqual({ drained: 0, killed: 0 });
    expect(await running.exited).toBe(0);
    expect(running.printed()).toMatch(/^Error: in onGiveUp/);
  });
});

describe("a cluster that cannot start", () => {
  it("says in one sentence why", async () => {
    const running = await run("{ workers: 2 }", "builder.bind('nowhere').start(0)");
    expect(await running.heard()).toMatchObject({ failed: expect.stringMatching(/StartError.*nowhere/) });
    expect(await running.exited).toBe(0);
  });

  it("because its workers have no address to share says so", async () => {
    const running = await run("{ workers: 2 }", "builder.start({ memory: true })");
    expect(await running.heard()).toEqual({
      failed:
        "StartError: A worker could not start: the workers of a cluster need an address to share: memory is none",
    });
    expect(await running.exited).toBe(0);
  });

  it.runIf(onLinux)("because a worker does not listen in time leaves no process behind", async () => {
    const running = await run(
      "{ workers: 2, startTimeoutMs: 1500 }",
      "worker === '2' ? never : builder.start(0)",
    );
    // On a busy machine it may be the first worker already that is late.
    const pids = new Set<number>();
    const ended = running.exited.then(() => true);
    while (!(await Promise.race([ended, moment()]))) for (const pid of childrenOf(running.pid)) pids.add(pid);
    expect(await running.heard()).toEqual({
      failed: "StartError: A worker could not start: it did not listen within 1500 ms.",
    });
    expect(await running.exited).toBe(0);
    expect(pids.size).toBeGreaterThan(0);
    expect([...pids].filter(isAlive)).toEqual([]);
  });
});

/** Resolves soon, with false. */
function moment(): Promise<boolean> {
  return new Promise((resolve) => setTimeout(resolve, 20, false));
}

describe("options", () => {
  it.each([
    { workers: 0 },
    { workers: 1.5 },
    { startTimeoutMs: 0 },
    { stopDeadlineMs: -1 },
    { stopDeadlineMs: 2 ** 31 },
    { intensity: { restarts: -1, withinMs: 1 } },
    { intensity: { restarts: 1, withinMs: 0 } },
    { onStop: 5 as never },
    { onGiveUp: "exit" as never },
  ])("refuses %j", async (options) => {
    await expect(cluster(async () => undefined as never, options)).rejects.toThrow(UsageError);
  });

  it("refuses what is not a function before it forks", async () => {
    await expect(cluster(5 as never)).rejects.toThrow("start must be a function, got 5");
  });
});
