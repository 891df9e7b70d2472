import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { freePort, type Program, startProgram } from "../../program.ts";

const hasBroker = spawnSync("nats-server", ["--version"]).status === 0;
if (!hasBroker) console.log("skipped: the chat through a broker, for there is no nats-server here");

describe.runIf(hasBroker)("a chat of two processes and a broker", () => {
  let port: number;
  let broker: ChildProcess;
  const chats: Program[] = [];

  beforeAll(async () => {
    port = await freePort();
    broker = await startBroker(port);
    for (let i = 0; i < 2; i++)
      chats.push(await startProgram("broker-chat", { BROKER: `nats://127.0.0.1:${port}` }));
    for (const chat of chats) await chat.printed(/linked/);
  });
  afterAll(async () => {
    for (const chat of chats) await chat.stop();
    broker?.kill("SIGKILL");
  });

  test("people of both processes hear each other, in one order", async () => {
    const ada = await join(chats[0]!, "Ada");
    expect(await ada.hear()).toBe("* Ada joined");
    const bob = await join(chats[1]!, "Bob");
    expect([await ada.hear(), await bob.hear()]).toEqual(["* Bob joined", "* Bob joined"]);
    for (let i = 0; i < 10; i++) {
      ada.socket.send(`a${i} 🌫️`);
      bob.socket.send(`b${i}`);
    }
    const heard: [string[], string[]] = [[], []];
    for (let i = 0; i < 20; i++) {
      heard[0].push(await ada.hear());
      heard[1].push(await bob.hear());
    }
    expect(heard[0]).toEqual(heard[1]);
    expect(heard[0].filter((line) => line.startsWith("Ada"))).toEqual(
      Array.from({ length: 10 }, (_, i) => `Ada: a${i} 🌫️`),
    );
    bob.socket.close();
    expect(await ada.hear()).toBe("* Bob left");
    ada.socket.close();
  });

  test("without the broker each process is a room of its own; when it is back they are one again", async () => {
    const ada = await join(chats[0]!, "Ada");
    await ada.hearOf("* Ada joined");
    const lost = chats.map((chat) => chat.printed(/no broker/));
    broker.kill();
    await Promise.all(lost);
    ada.socket.send("anybody?");
    expect(await ada.hear()).toBe("Ada: anybody? (only here)");
    broker = await startBroker(port);
    for (const chat of chats) await chat.printed(/linked[\s\S]*no broker[\s\S]*linked/);
    const bob = await join(chats[1]!, "Bob");
    expect([await ada.hear(), await bob.hear()]).toEqual(["* Bob joined", "* Bob joined"]);
  });

  test("a process that stops says goodbye to its people, and the others hear it", async () => {
    const ada = await join(chats[0]!, "Ada");
    const bob = await join(chats[1]!, "Bob");
    const closed = once(ada.socket, "close");
    expect(await chats[0]!.stop()).toBe(0);
    expect((await closed)[0]).toBe(1001);
    await bob.hearOf("* Ada left");
  });
});

/** A broker on the loopback; resolves when it takes connections. */
async function startBroker(port: number): Promise<ChildProcess> {
  const child = spawn("nats-server", ["-a", "127.0.0.1", "-p", String(port)]);
  await new Promise<void>((resolve, reject) => {
    child.stderr.on("data", (text) => String(text).includes("Server is ready") && resolve());
    child.once("exit", () => reject(new Error("the broker ended")));
  });
  return child;
}

/** A member of a process's room. */
interface Member {
  readonly socket: WebSocket;
  /** What it has been told, one message a call. */
  hear(): Promise<string>;
  /** Resolves when it has been told that, whatever came before. */
  hearOf(text: string): Promise<void>;
}

async function join(chat: Program, name: string): Promise<Member> {
  const socket = new WebSocket(`ws://localhost:${chat.port}/ws?name=${name}`);
  const waiting: string[] = [];
  let wake: (() => void) | undefined;
  socket.on("message", (data) => {
    waiting.push(String(data));
    wake?.();
  });
  await once(socket, "open");
  const hear = async () => {
    while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return waiting.shift()!;
  };
  return {
    socket,
    hear,
    async hearOf(text) {
      while ((await hear()) !== text);
    },
  };
}
