// What is sent, and how several parts of it leave in one write.

import type { Socket } from "node:net";

/** What can be sent: text (as UTF-8), bytes, or several of them in one write. */
export type Sendable = string | Uint8Array | readonly (string | Uint8Array)[];

/** Writes all parts at once; `done` is called when the kernel has taken the last one, or with why it has not. */
export function writeParts(
  socket: Socket,
  parts: readonly (string | Uint8Array)[],
  encoding: "utf8" | "latin1",
  done?: (error?: Error | null) => void,
): void {
  const last = parts.length - 1;
  socket.cork();
  try {
    for (let i = 0; i <= last; i += 1) {
      socket.write(parts[i] as string, encoding, i === last ? done : undefined);
    }
  } finally {
    socket.uncork();
  }
}
