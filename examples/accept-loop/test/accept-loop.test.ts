import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("accept-loop");
});
afterAll(() => program?.stop());

test("serves several clients at once", async () => {
  const connect = () => mug.new("localhost", { port: program.port }).connect();
  const sockets = [await connect(), await connect(), await connect()];
  for (const [i, socket] of sockets.entries()) await socket.send(`client ${i}`);
  for (const [i, socket] of sockets.entries())
    expect((await socket.receiveExact(8, { timeout: 5_000 })).toString()).toBe(`CLIENT ${i}`);
  for (const socket of sockets) await socket.shutdown();
});

test("ends when its listener is closed", async () => {
  expect(await program.stop()).toBe(0);
});
