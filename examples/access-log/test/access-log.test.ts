import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("access-log");
});
afterAll(() => program?.stop());

/** The lines of the log whose message is this, once there is one that has `facts`. */
async function logged(message: string, facts: object): Promise<Record<string, unknown>> {
  const find = () =>
    program
      .output()
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line["msg"] === message)
      .find((line) => Object.entries(facts).every(([name, value]) => line[name] === value));
  await expect.poll(find).toBeDefined();
  return find()!;
}

test("a response is a line, with the id of what the handler logged", async () => {
  await (await fetch(`${program.url}/emma`)).text();
  const answered = await logged("answered", { path: "/emma" });
  expect(answered).toMatchObject({ client: "127.0.0.1", method: "GET", status: 200, bytesWritten: 12 });
  const greeting = await logged("greeting", { name: "emma" });
  expect(greeting["requestId"]).toBe(answered["requestId"]);
  await (await fetch(`${program.url}/jane`)).text();
  expect((await logged("answered", { path: "/jane" }))["requestId"]).not.toBe(answered["requestId"]);
});

test("a failure is a line, with the id of its response", async () => {
  expect((await fetch(`${program.url}/fail`)).status).toBe(500);
  const answered = await logged("answered", { path: "/fail" });
  const failed = await logged("failed", { during: "handler" });
  expect(answered).toMatchObject({ status: 500 });
  expect(failed).toMatchObject({ err: { message: "out of paper" }, requestId: answered["requestId"] });
});

test("a request that is refused is a line", async () => {
  const socket = await mug.new("127.0.0.1", { port: program.port }).timeout(10_000).connect();
  await socket.send("GET /\r\n\r\n");
  await socket.receiveToEnd({ timeout: 10_000 });
  expect(await logged("refused", { status: 400 })).toMatchObject({ client: "127.0.0.1" });
});

test("stops when it is told to", async () => {
  expect(await program.stop()).toBe(0);
});
