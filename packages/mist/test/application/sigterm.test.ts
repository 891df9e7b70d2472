// A server in a process of its own is told to stop in the middle of its work. Every request it has received a byte
// of is answered, and then it is gone.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import * as net from "node:net";
import { fileURLToPath } from "node:url";
import { Pool } from "undici";
import { describe, expect, it, onTestFinished } from "vitest";

const program = `
import { setTimeout as delay } from "node:timers/promises";
import * as mist from "@x/mist";
let handled = 0;
const server = await mist
  .new(async (request) => {
    handled += 1;
    const content = await mist.readBody(request, { maxBodyLimit: 1 << 20 });
    await delay(handled % 25);
    const answer = mist.response(200);
    if (handled % 3 > 0) return answer.setBody(mist.bytes(String(content.length)));
    const pieces = async function* () {
      for (const digit of String(content.length)) {
        await delay(1);
        yield digit;
      }
    };
    return answer.setBody(mist.chunked(pieces()));
  })
  .port(0)
  // A client that waits for a processor may take its time for a request on a connection it has.
  .withDeadlines({ stopGraceMs: 2000 })
  .afterStart(({ port }) => process.send({ port }))
  .start();
process.once("SIGTERM", async () => {
  const { killed } = await server.stop({ deadlineMs: 10_000 });
  process.send({ handled, killed });
  process.disconnect();
});
`;

interface Victim {
  readonly port: number;
  /** Sends SIGTERM; gives what the server says last, and the code it exits with. */
  terminate(): Promise<{ handled: number; killed: number; code: number | null }>;
}

async function victim(): Promise<Victim> {
  const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
  // Inside the package, where `@x/mist` is the package itself.
  const directory = await mkdtemp(`${packageDirectory}test/sigterm-`);
  const file = `${directory}/main.mjs`;
  await writeFile(file, program);
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true });
  });
  const { port } = (await said(child)) as { port: number };
  return {
    port,
    async terminate() {
      const last = said(child);
      child.kill("SIGTERM");
      return { ...((await last) as { handled: number; killed: number }), code: await exited };
    },
  };
}

function said(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`the server exited with ${code} before it said a word`)));
  });
}

/** How a client's requests came out. */
interface Tally {
  answered: number;
  /** Sent, and not answered. */
  lost: string[];
}

const content = "x".repeat(1234);
const request = `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${content.length}\r\n\r\n${content}`;
const complete = /\r\n\r\n1234$|0\r\n\r\n$/;

/** One connection, one request behind the other, each in two packets, until the server hangs up. */
function keepAsking(port: number, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    let answer = "";
    let asking = false;
    const socket = net.connect(port, "127.0.0.1");
    const ask = () => {
      asking = true;
      answer = "";
      socket.write(request.slice(0, 30));
      setImmediate(() => socket.write(request.slice(30)));
    };
    socket.setNoDelay().on("connect", ask);
    socket.setEncoding("latin1").on("data", (data) => {
      answer += data;
      if (!complete.test(answer)) return;
      asking = false;
      tally.answered += 1;
      if (!answer.includes("connection: close")) ask();
    });
    socket.on("error", (error) => asking && tally.lost.push(error.message));
    socket.on("close", () => {
      if (asking) tally.lost.push(JSON.stringify(answer));
      resolve();
    });
  });
}

async function answeredSome(tally: Tally): Promise<void> {
  await expect.poll(() => tally.answered, { interval: 5, timeout: 30_000 }).toBeGreaterThan(200);
}

describe("SIGTERM under load", () => {
  it("loses no request of clients that keep their connections", async () => {
    const { port, terminate } = await victim();
    const tally: Tally = { answered: 0, lost: [] };
    const clients = Array.from({ length: 40 }, () => keepAsking(port, tally));
    await answeredSome(tally);
    const { handled, killed, code } = await terminate();
    await Promise.all(clients);
    expect(tally).toEqual({ answered: handled, lost: [] });
    expect([killed, code]).toEqual([0, 0]);
  });

  it("loses no request of undici's pool, which none of them could be repeated by", async () => {
    const { port, terminate } = await victim();
    const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 20 });
    const tally: Tally = { answered: 0, lost: [] };
    const visitor = async () => {
      for (;;) {
        try {
          const { body } = await pool.request({ path: "/", method: "POST", body: content });
          expect(await body.text()).toBe("1234");
          tally.answered += 1;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") tally.lost.push(String(error));
          return;
        }
      }
    };
    const visitors = Array.from({ length: 40 }, visitor);
    await answeredSome(tally);
    const { handled, killed, code } = await terminate();
    await Promise.all(visitors);
    await pool.destroy();
    expect(tally).toEqual({ answered: handled, lost: [] });
    expect([killed, code]).toEqual([0, 0]);
  });

  it("answers every request that was pipelined before it", async () => {
    const { port, terminate } = await victim();
    let answers = "";
    const socket = net.connect(port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.setEncoding("latin1").on("data", (data) => {
      answers += data;
    });
    socket.write(request.repeat(20));
    await expect.poll(() => answers, { interval: 1 }).toMatch(/HTTP/);
    const { handled, killed, code } = await terminate();
    await closed;
    expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(20);
    expect([handled, killed, code]).toEqual([20, 0, 0]);
  });
});
