import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("echo");
});
afterAll(() => program?.stop());

test("sends back what it receives and counts the packets", async () => {
  const socket = await mug.new("localhost", { port: program.port }).connect();
  for (const word of ["one", "two"]) {
    await socket.send(word);
    expect((await socket.receiveExact(3, { timeout: 5_000 })).toString()).toBe(word);
  }
  await socket.shutdown();
  await program.printed(/ended after 2 packets/);
});

test("stops when it is told to", async () => {
  expect(await program.stop()).toBe(0);
});
