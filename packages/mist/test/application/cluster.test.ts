// mist in two processes: a rolling reload under requests, then one stop for all.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as mug from "@x/mug";
import { Pool } from "undici";
import { expect, it, onTestFinished } from "vitest";
import type * as mist from "../../src/index.ts";

const program = `
import * as mist from "@x/mist";
const handler = () => mist.response(200).setBody(mist.bytes(String(process.pid)));
const builder = mist.new(handler).port(0).withDeadlines({ stopGraceMs: 2000 }).afterStart(() => {});
const running = await mist.cluster(() => builder, { workers: 2 });
if (running.role === "primary") {
  process.send(await running.info());
  process.on("message", async (order) => {
    if (order === "info") process.send(await running.info());
    if (order === "reload") process.send(await running.reload().then(() => "reloaded"));
    if (order === "stop") { process.send(await running.stop()); process.disconnect(); }
  });
}
`;

function next(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once("message", resolve));
}

/** Sends what is no request, and waits until it is refused. */
async function malformedTo(port: number): Promise<void> {
  await using socket = await mug.connect("127.0.0.1", { port });
  await socket.send("\0\r\n\r\n");
  expect(String(await socket.receiveToEnd({ timeout: 5000 }))).toMatch(/^HTTP\/1\.1 400 /);
}

it("answers every request while its workers are replaced", async () => {
  const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
  // Inside the package, where `@x/mist` is the package itself.
  const directory = await mkdtemp(`${packageDirectory}test/cluster-`);
  const file = `${directory}/main.mjs`;
  await writeFile(file, program);
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true });
  });
  const { address, workers } = (await next(child)) as { address: { port: number }; workers: number[] };
  let reloaded = false;
  child.send("reload");
  const reloading = next(child).then(() => {
    reloaded = true;
  });
  const answered = new Set<number>();
  // A connection each: no request is sent on one that the server is about to close for being idle.
  const ask = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${address.port}/`, { headers: { connection: "close" } });
    return Number(await response.text());
  };
  // Connections that are kept, and content that the handler leaves unread.
  const pool = new Pool(`http://127.0.0.1:${address.port}`, { connections: 5 });
  const keepAsking = async (): Promise<void> => {
    while (!reloaded) await (await pool.request({ path: "/", method: "POST", body: "unread" })).body.text();
  };
  const visitors = Array.from({ length: 10 }, keepAsking);
  while (!reloaded) answered.add(await ask());
  await Promise.all([reloading, ...visitors]);
  await pool.close();
  answered.clear();
  for (let i = 0; i < 4; i++) answered.add(await ask());
  expect([...answered].some((pid) => workers.includes(pid))).toBe(false);
  for (let i = 0; i < 3; i++) await malformedTo(address.port);
  child.send("info");
  const info = (await next(child)) as mist.ClusterInfo<mist.Server>;
  expect(info).toMatchObject({ refused: 3, refusedBy: { 400: 3 }, streams: 0, rejectedBy: { exhausted: 0 } });
  child.send("stop");
  expect(await next(child)).toMatchObject({ killed: 0 });
  expect(await exited).toBe(0);
});
