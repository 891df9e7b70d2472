import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as mug from "@x/mug";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { freePort, type Program, startProgram } from "../../program.ts";

// Linux has all of 127.0.0.0/8 on its loopback; a client can be somebody else there without another machine.
const linux = process.platform === "linux";

const REQUEST = "GET / HTTP/1.1\r\nhost: example\r\nconnection: close\r\n\r\n";

let program: Program;
beforeAll(async () => {
  program = await startProgram("load-balancer", { TRUSTED: "127.0.0.1" });
});
afterAll(() => program?.stop());

/** The answer to `bytes` sent from `localAddress`; empty when there is none. */
async function ask(port: number, bytes: string, localAddress = "127.0.0.1"): Promise<string> {
  await using socket = await mug.connect({ host: "127.0.0.1", port, localAddress });
  await socket.send(bytes).catch(() => {});
  const answer = await socket.receiveToEnd({ timeout: 5_000 }).catch(() => "");
  return answer.toString().split("\r\n\r\n").at(-1)!.trim();
}

test("the client is who the header says", async () => {
  const header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\n";
  expect(await ask(program.port, header + REQUEST)).toBe("you are 192.0.2.7, port 40000");
});

test("a connection without a header gets no answer", async () => {
  expect(await ask(program.port, REQUEST)).toBe("");
});

test.runIf(linux)("somebody who is not trusted gets no answer, whatever the header says", async () => {
  const header = "PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\n";
  expect(await ask(program.port, header + REQUEST, "127.0.0.3")).toBe("");
});

const hasProxy = linux && spawnSync("haproxy", ["-v"]).status === 0;
if (!hasProxy) console.log("skipped: the real load balancer, for there is no haproxy here");

describe.runIf(hasProxy)("HAProxy in front", () => {
  const doors: number[] = [];
  let proxy: ChildProcess;

  beforeAll(async () => {
    doors.push(await freePort(), await freePort());
    const [v1, v2] = doors.map(String);
    const config = fileURLToPath(new URL("../haproxy.cfg", import.meta.url));
    const env = { ...process.env, DOOR_V1: v1, DOOR_V2: v2, SERVER: String(program.port) };
    proxy = spawn("haproxy", ["-f", config, "-db", "-q"], { env, stdio: ["ignore", "inherit", "inherit"] });
    await vi.waitFor(async () => expect(await ask(doors[1]!, REQUEST)).toContain("you are"), 10_000);
  });
  afterAll(() => proxy?.kill());

  test.each([
    ["send-proxy", 0],
    ["send-proxy-v2", 1],
  ])("with %s the client's own address is seen", async (_, door) => {
    expect(await ask(doors[door]!, REQUEST, "127.0.0.2")).toMatch(/^you are 127\.0\.0\.2, port \d+$/);
  });

  test("health checks come from the proxy itself, and pass", async () => {
    await program.printed(/health checks come from 127\.0\.0\.1/);
    expect(await ask(doors[1]!, REQUEST, "127.0.0.2")).toContain("127.0.0.2");
  });

  test("a client that keeps its connection is itself with every request", async () => {
    await using socket = await mug.connect({ host: "127.0.0.1", port: doors[1]!, localAddress: "127.0.0.4" });
    for (let i = 0; i < 3; i++) {
      await socket.send("GET / HTTP/1.1\r\nhost: example\r\n\r\n");
      const head = await socket.receiveUntil("\r\n\r\n", { timeout: 5_000 });
      const length = Number(/content-length: (\d+)/i.exec(head.toString())?.[1]);
      expect(String(await socket.receiveExact(length, { timeout: 5_000 }))).toContain("127.0.0.4");
    }
  });
});
