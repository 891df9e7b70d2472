// A server that is stopped and replaced under load, by one in the same process on the same port and by a reload of a
// cluster. What was answered must arrive; what was not may be asked again.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import * as http2 from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Agent, request as undici } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { answerOf } from "./client.ts";

const run = promisify(execFile);
const hasH2load = await run("h2load", ["--version"]).then(
  () => true,
  () => false,
);

/** How a load went. */
interface Tally {
  answered: number;
  /** Neither answered nor refused: what a user would miss. */
  readonly lost: unknown[];
}

interface Load {
  readonly port: number;
  readonly tally: Tally;
  over(): boolean;
}

/** One client of node:http2, four requests at a time, that connects again whenever it is told to go. */
async function visitByNode({ port, tally, over }: Load): Promise<void> {
  for (let n = 0; !over(); ) {
    const client = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const up = await Promise.race([
      once(client, "connect").then(
        () => true,
        () => false,
      ),
      once(client, "close").then(
        () => false,
        () => false,
      ),
    ]);
    client.on("error", () => {});
    if (!up) {
      await sleep(2);
      continue;
    }
    let last = Number.POSITIVE_INFINITY;
    client.on("goaway", (_code: number, lastId: number) => {
      last = lastId;
    });
    const ask = async () => {
      const path = `/${n++}`;
      const stream = client.request({ ":path": path });
      stream.on("error", () => {});
      try {
        const answer = await answerOf(stream);
        if (answer.body.toString() !== path) tally.lost.push(answer);
        tally.answered += 1;
      } catch (error) {
        // Never sent, refused, or behind the last that counts: it may be asked again.
        const again = stream.id === undefined || stream.rstCode === 7 || stream.id > last;
        if (!again) tally.lost.push({ error, id: stream.id, last });
      }
    };
    while (!over() && !client.closed && !client.destroyed) await Promise.all([ask(), ask(), ask(), ask()]);
    client.close();
  }
}

/**
 * undici gives up one of the requests under way, whatever the last stream id, when it reads a GOAWAY, and repeats the
 * others (`onHttp2SessionGoAway`). So each is asked until it is answered, and none may come back damaged.
 */
async function visitByUndici({ port, tally, over }: Load, dispatcher: Agent): Promise<void> {
  for (let n = 0; !over(); n++) {
    for (let answered = false; !answered; ) {
      try {
        const { body } = await undici(`https://127.0.0.1:${port}/${n}`, { dispatcher });
        const text = await body.text();
        if (text !== `/${n}`) tally.lost.push(text);
        answered = true;
        tally.answered += 1;
      } catch (error) {
        const { code } = error as { code?: string };
        if (!/^(?:UND_ERR_SOCKET|ECONN(?:REFUSED|RESET))$/.test(String(code))) tally.lost.push(error);
        await sleep(2);
      }
    }
  }
}

function undiciAgent(): Agent {
  const agent = new Agent({ allowH2: true, connections: 2, connect: { rejectUnauthorized: false } });
  onTestFinished(() => agent.destroy());
  return agent;
}

const tally = (): Tally => ({ answered: 0, lost: [] });

describe("on one port, in one process", () => {
  async function replaceable() {
    const pem = await certificate();
    /** Answers that handlers have given. */
    const given = { count: 0 };
    const start = (port: number) =>
      mist.serve({
        port,
        tls: pem,
        afterStart: () => {},
        handler: async (request) => {
          await new Promise((resolve) => setImmediate(resolve));
          given.count += 1;
          return mist.response(200, { body: mist.chunked([request.path]) });
        },
      });
    let server = await start(0);
    onTestFinished(async () => void (await server.stop(0)));
    const { port } = server;
    return {
      port,
      given,
      async replace() {
        const report = await server.stop({ deadlineMs: 2000 });
        server = await start(port);
        return report;
      },
    };
  }

  test("node:http2 and undici", async () => {
    const { port, replace } = await replaceable();
    const [byNode, byUndici] = [tally(), tally()];
    let over = false;
    const agent = undiciAgent();
    const visitors = [
      ...Array.from({ length: 4 }, () => visitByNode({ port, tally: byNode, over: () => over })),
      ...Array.from({ length: 4 }, () => visitByUndici({ port, tally: byUndici, over: () => over }, agent)),
    ];
    for (let round = 0; round < 3; round++) {
      const before = [byNode.answered, byUndici.answered] as const;
      await expect
        .poll(() => byNode.answered - before[0] > 100 && byUndici.answered - before[1] > 100, {
          timeout: 15_000,
        })
        .toBe(true);
      const report = await replace();
      expect(report).toMatchObject({ killed: 0, streams: { killed: 0 } });
    }
    over = true;
    await Promise.all(visitors);
    expect([byNode.lost, byUndici.lost]).toEqual([[], []]);
  });

  test.skipIf(!hasH2load)("h2load: as many succeed as were answered", async () => {
    const { port, given, replace } = await replaceable();
    let over = false;
    let succeeded = 0;
    const load = async () => {
      while (!over) {
        const args = ["-n", "2000", "-c", "4", "-m", "8", `https://127.0.0.1:${port}/x`];
        const { stdout } = await run("h2load", args).catch((failed: { stdout: string }) => failed);
        succeeded += Number(/(\d+) succeeded/.exec(stdout)?.[1] ?? 0);
      }
    };
    const loads = [load(), load()];
    for (let round = 0; round < 3; round++) {
      const before = given.count;
      await expect.poll(() => given.count - before > 500).toBe(true);
      expect(await replace()).toMatchObject({ killed: 0, streams: { killed: 0 } });
    }
    over = true;
    await Promise.all(loads);
    expect(succeeded).toBe(given.count);
  });
});

const program = `
import * as mist from "@x/mist";
const handler = async (request) => {
  await new Promise((resolve) => setImmediate(resolve));
  return mist.response(200, { body: mist.chunked([request.path]) });
};
const { CERT: cert, KEY: key } = process.env;
const builder = mist.new(handler).port(0).withTls({ cert, key }).afterStart(() => {});
const running = await mist.cluster(() => builder, { workers: 2 });
if (running.role === "primary") {
  process.send(await running.info());
  process.on("message", async (order) => {
    if (order === "reload") process.send(await running.reload().then(() => "reloaded"));
    if (order === "stop") { process.send(await running.stop()); process.disconnect(); }
  });
}
`;

test("the workers of a cluster, one after the other", async () => {
  const { cert: CERT, key: KEY } = await certificate();
  // Inside the package, where `@x/mist` is the package itself.
  const directory = await mkdtemp(`${fileURLToPath(new URL("../..", import.meta.url))}test/cluster-`);
  await writeFile(`${directory}/main.mjs`, program);
  const child = spawn(process.execPath, [`${directory}/main.mjs`], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...process.env, CERT, KEY },
  });
  const exited = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true });
  });
  const told = () => new Promise<unknown>((resolve) => child.once("message", resolve));
  const { address, workers } = (await told()) as { address: { port: number }; workers: number[] };
  const { port } = address;
  expect(workers.length).toBe(2);
  const [byNode, byUndici] = [tally(), tally()];
  let over = false;
  const agent = undiciAgent();
  const visitors = [
    ...Array.from({ length: 4 }, () => visitByNode({ port, tally: byNode, over: () => over })),
    ...Array.from({ length: 4 }, () => visitByUndici({ port, tally: byUndici, over: () => over }, agent)),
  ];
  for (let round = 0; round < 2; round++) {
    const before = [byNode.answered, byUndici.answered] as const;
    await expect
      .poll(() => byNode.answered - before[0] > 50 && byUndici.answered - before[1] > 50)
      .toBe(true);
    child.send("reload");
    expect(await told()).toBe("reloaded");
  }
  over = true;
  await Promise.all(visitors);
  expect([byNode.lost, byUndici.lost]).toEqual([[], []]);
  child.send("stop");
  expect(await told()).toMatchObject({ killed: 0 });
  expect(await exited).toEqual([0, null]);
}, 60_000);
