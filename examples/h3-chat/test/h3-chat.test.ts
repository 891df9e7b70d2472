import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Program, startProgram } from "../../program.ts";

let program: Program;
beforeAll(async () => {
  program = await startProgram("h3-chat");
});
afterAll(() => program?.stop());

/** A member of a room, and the next thing that it is told. */
async function join(room: string, name: string): Promise<{ socket: WebSocket; hear(): Promise<string> }> {
  const socket = new WebSocket(`ws://localhost:${program.port}/rooms/${room}?name=${name}`);
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

test("what is said in a room is heard in it, and nowhere else", async () => {
  const ada = await join("blue", "Ada");
  expect(await ada.hear()).toBe("* 1 here");
  const eve = await join("red", "Eve");
  expect(await eve.hear()).toBe("* 1 here");
  const bob = await join("blue", "Bob");
  expect([await bob.hear(), await ada.hear()]).toEqual(["* 2 here", "* Bob joined"]);
  bob.socket.send("hello");
  expect(await ada.hear()).toBe("Bob: hello");
  bob.socket.close();
  expect(await ada.hear()).toBe("* Bob left");
  const count = await fetch(`${program.url}/rooms/blue/count`);
  expect(await count.json()).toEqual({ said: 1 });
  const closed = [once(ada.socket, "close"), once(eve.socket, "close")];
  expect(await program.stop()).toBe(0);
  for (const [code] of await Promise.all(closed)) expect(code).toBe(1001);
});

test.each([
  ["/rooms/blue", 426],
  ["/nowhere", 404],
])("%s asked for without a handshake is %i", async (path, status) => {
  const again = await startProgram("h3-chat");
  expect((await fetch(`${again.url}${path}`)).status).toBe(status);
  expect(await again.stop()).toBe(0);
});
