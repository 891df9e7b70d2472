import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("supervised");
});
afterAll(() => program?.stop());

test("a crash costs the counter its count, and the clients not even their connection", async () => {
  const socket = await mug.new("localhost", { port: program.port }).connect();
  const ask = async () => {
    await socket.send("count\n");
    return socket.receiveLine({ timeout: 5_000 });
  };
  await socket.send("add\n");
  expect(await ask()).toBe("1");
  await socket.send("crash\n");
  await program.printed(/counter ended: abnormal[\s\S]*counter runs/);
  expect(await ask()).toBe("0");
  await socket.shutdown();
});

test("the tree stops as a whole", async () => {
  expect(await program.stop()).toBe(0);
});
