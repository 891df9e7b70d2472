import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { freePort, type Program, startProgram } from "../../program.ts";

const brokers = {
  nats: {
    command: (port: string) => ["nats-server", "-a", "127.0.0.1", "-p", port],
    ready: "Server is ready",
  },
  redis: {
    command: (port: string) => ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", ""],
    ready: "Ready to accept connections",
  },
} as const;

type Kind = keyof typeof brokers;

function isInstalled(kind: Kind): boolean {
  const found = spawnSync(`${kind}-server`, ["--version"]).status === 0;
  if (!found) console.log(`skipped: the chat through ${kind}, which is not installed`);
  return found;
}

for (const kind of ["nats", "redis"] as const)
  describe.runIf(isInstalled(kind))(`a chat of two processes and ${kind}`, () => {
    let port: number;
    let broker: ChildProcess;
    const chats: Program[] = [];

    beforeAll(async () => {
      port = await freePort();
      broker = await startBroker(kind, port);
      for (let i = 0; i < 2; i++)
        chats.push(await startProgram("broker-chat", { BROKER: `${kind}://127.0.0.1:${port}` }));
      for (const chat of chats) await chat.printed(/linked/);
    });
    afterAll(async () => {
      for (const chat of chats) await chat.stop();
      broker?.kill("SIGKILL");
    });

    test("people of both processes hear each other, each in the order they spoke", async () => {
      const { ada, bob } = await meet(chats);
      for (let i = 0; i < 10; i++) {
        ada.socket.send(`a${i} 🌫️`);
        bob.socket.send(`b${i}`);
      }
      for (const member of [ada, bob]) {
        const heard: string[] = [];
        while (!heard.includes("Ada: a9 🌫️") || !heard.includes("Bob: b9")) heard.push(await member.hear());
        const said = (name: string) => heard.filter((line) => new RegExp(`^${name}: .\\d`).test(line));
        expect(said("Ada")).toEqual(Array.from({ length: 10 }, (_, i) => `Ada: a${i} 🌫️`));
        expect(said("Bob")).toEqual(Array.from({ length: 10 }, (_, i) => `Bob: b${i}`));
      }
      bob.socket.close();
      expect(await ada.hear()).toBe("* Bob left");
      ada.socket.close();
    });

    test("without the broker each process is a room of its own; when it is back they are one again", async () => {
      const { ada, bob } = await meet(chats);
      const lost = chats.map((chat) => chat.printed(/no broker/));
      broker.kill("SIGKILL");
      await Promise.all(lost);
      ada.socket.send("anybody?");
      expect(await ada.hear()).toBe("Ada: anybody?");
      broker = await startBroker(kind, port);
      for (const chat of chats) await chat.printed(/linked[\s\S]*no broker[\s\S]*linked/);
      // A process that connects later than Ada's misses what she said, unless the broker keeps it.
      if (kind === "redis") await bob.hearOf("Ada: anybody?");
      bob.socket.send("here again");
      await ada.hearOf("Bob: here again");
      ada.socket.close();
      bob.socket.close();
    });

    test("a process that stops says goodbye to its people, and the others hear it", async () => {
      const { ada, bob } = await meet(chats);
      const closed = once(ada.socket, "close");
      expect(await chats[0]!.stop()).toBe(0);
      expect((await closed)[0]).toBe(1001);
      await bob.hearOf("* Ada left");
    });
  });

/** Ada in the first process, Bob in the second; they hear each other. */
async function meet(chats: readonly Program[]): Promise<{ ada: Member; bob: Member }> {
  const ada = await join(chats[0]!, "Ada");
  const bob = await join(chats[1]!, "Bob");
  await ada.hearOf("* Bob joined");
  // The broker is told that there is somebody to hear while Bob is greeted already.
  for (let heard = false; !heard; ) {
    ada.socket.send("do you hear me?");
    await ada.hearOf("Ada: do you hear me?");
    heard = bob.has("Ada: do you hear me?");
  }
  return { ada, bob };
}

/** A broker on the loopback; resolves when it takes connections. */
async function startBroker(kind: Kind, port: number): Promise<ChildProcess> {
  const [program, ...args] = brokers[kind].command(String(port));
  const child = spawn(program!, args);
  await new Promise<void>((resolve, reject) => {
    const read = (text: Buffer) => text.includes(brokers[kind].ready) && resolve();
    child.stdout.on("data", read);
    child.stderr.on("data", read);
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
  /** Forgets what it has been told until now, and says whether that was among it. */
  has(text: string): boolean;
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
    has: (text) => waiting.splice(0).includes(text),
  };
}
