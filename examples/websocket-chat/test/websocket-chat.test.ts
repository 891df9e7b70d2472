import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("websocket-chat");
});
afterAll(() => program?.stop());

/** A member of the room, and what it has been told, one message a call. */
async function join(name: string): Promise<{ socket: WebSocket; hear(): Promise<string> }> {
  const socket = new WebSocket(`ws://localhost:${program.port}/ws?name=${name}`);
  const waiting: string[] = [];
  let wake: (() => void) | undefined;
  socket.on("message", (data) => {
    waiting.push(String(data));
    wake?.();
  });
  await once(socket, "open");
  return {
    socket,
    async hear() {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return waiting.shift()!;
    },
  };
}

test("all in the room hear who comes, what is said, and who goes, in whatever process they are", async () => {
  // Connections go to the two processes in turn.
  const ada = await join("Ada");
  expect(await ada.hear()).toBe("* Ada joined");
  const bob = await join("Bob");
  expect([await ada.hear(), await bob.hear()]).toEqual(["* Bob joined", "* Bob joined"]);
  ada.socket.send("good morning 🌫️");
  expect([await ada.hear(), await bob.hear()]).toEqual(["Ada: good morning 🌫️", "Ada: good morning 🌫️"]);
  // Names come with what is said.
  for (const member of [ada, bob]) {
    member.socket.send("/who");
    expect(await member.hear()).toBe("* here: Ada, Bob");
  }
  bob.socket.close();
  expect(await ada.hear()).toBe("* Bob left");
  const closed = once(ada.socket, "close");
  expect(await program.stop()).toBe(0);
  expect((await closed)[0]).toBe(1001);
});
