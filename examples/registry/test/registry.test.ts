import * as mug from "@x/mug";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("registry");
});
afterAll(() => program?.stop());

const connect = () => mug.new("localhost", { port: program.port }).connect();
const line = async (socket: mug.Socket) =>
  (await socket.receiveUntil("\n", { timeout: 5_000 })).toString().trim();

test("everyone but the speaker hears what is said, and who comes and goes", async () => {
  const first = await connect();
  expect(await line(first)).toBe("* someone came, 1 are here");
  const other = await connect();
  expect(await line(first)).toBe("* someone came, 2 are here");
  expect(await line(other)).toBe("* someone came, 2 are here");
  await other.send("good morning\n");
  expect(await line(first)).toBe("good morning");
  await first.send("and to you\n");
  expect(await line(other)).toBe("and to you");
  await other.shutdown();
  expect(await line(first)).toBe("* someone left, 1 are here");
});
