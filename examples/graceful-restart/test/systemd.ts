// What systemd does with a socket unit and a service that is always restarted, in a few lines of shell: it holds the
// listening socket, passes it on as descriptor 3, and says so in the environment.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";

// A service that cannot even start is given up, as systemd would (StartLimitBurst=).
const MANAGER = `for _ in 1 2 3 4 5; do
  sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' sh "$@"
done`;

/**
 * Runs `command` on a socket of its own, again when it has ended; resolves with the port once the socket is handed
 * over. `end` kills manager and service.
 */
export async function keepRunning(command: string[]): Promise<{ port: number; end(): void }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const manager = spawn("sh", ["-c", MANAGER, "sh", ...command], {
    stdio: ["ignore", "inherit", "inherit", descriptorOf(port)],
    detached: true,
  });
  await once(manager, "spawn");
  // From here on the socket lives in the manager alone.
  server.close();
  await once(server, "close");
  return { port, end: () => endGroup(manager.pid!) };
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended already.
  }
}

/** The number of this process's descriptor behind a listening port, found as Linux tells it. */
function descriptorOf(port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const row = readFileSync("/proc/net/tcp", "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .find((columns) => columns[1] === local && columns[3] === "0A");
  const link = `socket:[${row?.[9]}]`;
  return Number(readdirSync("/proc/self/fd").find((name) => linkOf(name) === link));
}

function linkOf(name: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${name}`);
  } catch {
    return undefined;
  }
}
