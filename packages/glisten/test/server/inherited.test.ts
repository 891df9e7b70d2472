/** Servers on a socket that was given to their process, and that they could not open again. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { builtSources } from "../built.ts";
import { descriptorOf, inodeOfPort } from "../descriptors.ts";
import { dial } from "./peer.ts";

let built: string;
beforeAll(async () => {
  built = await builtSources();
});

interface Running {
  readonly port: number;
  /** The next line the program prints. */
  line(): Promise<string>;
  say(order: string): void;
}

/** Runs a program whose descriptor 3 is a listening socket, in a shell, as systemd would. */
async function run(program: string): Promise<Running> {
  const parent = createServer();
  await once(parent.listen(0, "127.0.0.1"), "listening");
  const { port } = parent.address() as { port: number };
  const script = `
    const built = process.argv[1];
    const glisten = await import(${JSON.stringify(join(built, "index.js"))});
    const builder = glisten.new(() => 0, (_count, _message, connection) => { connection.send("pid " + process.pid + ";"); });
    const orders = { on: (then) => process.stdin.setEncoding("utf8").on("data", then) };
    ${program}`;
  const child: ChildProcess = spawn(
    "/bin/sh",
    ["-c", 'LISTEN_PID=$$ exec "$0" --input-type=module -e "$1" "$2"', process.execPath, script, built],
    {
      stdio: ["pipe", "pipe", "inherit", descriptorOf(inodeOfPort(port))],
      env: { ...process.env, LISTEN_FDS: "1" },
    },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  let wake: () => void = () => {};
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    lines.push(...text.split("\n").filter((line) => line !== ""));
    wake();
  });
  const line = async (): Promise<string> => {
    while (lines.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return lines.shift()!;
  };
  expect(await line()).toBe("listening");
  parent.close(); // from here on the program alone accepts
  return { port, line, say: (order) => void child.stdin!.write(order) };
}

async function ask(port: number): Promise<string> {
  const peer = await dial({ port });
  peer.socket.end("who");
  await peer.whenEnded();
  return peer.error?.code ?? peer.received.toString();
}

describe("a server on a descriptor", () => {
  it("keeps it when its listener crashes, and lets go of it when it stops", async () => {
    const { port, say, line } = await run(`
      const server = await builder.start({ fd: 3 });
      console.log("listening");
      orders.on(async (order) => {
        if (order === "crash") {
          const crashed = server.supervisor.which("listener");
          crashed.failed(Object.assign(new Error("bad descriptor"), { code: "EBADF" }));
          while ([undefined, crashed].includes(server.supervisor.which("listener"))) await new Promise(setImmediate);
        } else await server.stop();
        console.log(order + " " + server.supervisor.alive);
      });`);
    for (let crash = 0; crash < 3; crash++) {
      expect(await ask(port)).toMatch(/^pid /);
      say("crash");
      expect(await line()).toBe("crash true");
    }
    expect(await ask(port)).toMatch(/^pid /);
    say("stop");
    expect(await line()).toBe("stop false");
    expect((await dial({ port })).error?.code).toBe("ECONNREFUSED");
  });

  it("lets go of it when it gives up", async () => {
    const { port, say, line } = await run(`
      const server = await builder.withIntensity({ restarts: 0, withinMs: 1000 }).start({ systemd: true });
      console.log("listening");
      server.closed.then(({ type }) => console.log(type));
      orders.on(() => server.supervisor.which("listener").failed(new Error("what is this")));`);
    expect(await ask(port)).toMatch(/^pid /);
    say("crash");
    expect(await line()).toBe("abnormal");
    expect((await dial({ port })).error?.code).toBe("ECONNREFUSED");
  });
});
