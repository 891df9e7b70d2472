/** An address that never answers: a listening socket of a stopped process whose accept queue is full. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface BlackHole extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

const LISTENER = `
  const server = require("node:net").createServer();
  server.listen({ port: Number(process.argv[1]), host: "127.0.0.1", backlog: 1 }, () => process.send(server.address().port));
`;

/** On 127.0.0.1. */
export async function openBlackHole(wantedPort = 0): Promise<BlackHole> {
  const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
  const child = spawn(process.execPath, ["-e", LISTENER, String(wantedPort)], { stdio: [...stdio] });
  const [port] = (await once(child, "message")) as [number];
  child.kill("SIGSTOP");
  const fillers: Socket[] = [];
  while (await connects(port, fillers));
  return {
    host: "127.0.0.1",
    port,
    async [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.destroy();
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The kernel answers for a stopped process while there is room in the queue, then not at all. */
function connects(port: number, fillers: Socket[]): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  fillers.push(socket);
  return new Promise((resolve) => {
    // A busy process hears of a connection late: one more poll before it counts as unanswered.
    const timer = setTimeout(() => setImmediate(() => resolve(!socket.connecting)), 150);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
