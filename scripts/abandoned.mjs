// Ends a program whose npx has ended. npx passes Ctrl-C on, but when it alone is asked to stop (`kill $!` in a
// script), it goes and leaves pnpm and the server behind, on the port. Looks at /proc; without one it does nothing.

import { readFileSync } from "node:fs";

const EVERY_MS = 500;

/** Sends this process SIGTERM when the npx that it was started by is gone. */
export function stopWithNpx() {
  const npx = findNpx();
  if (npx === undefined) return;
  const timer = setInterval(() => {
    if (isAlive(npx)) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, EVERY_MS);
  timer.unref();
}

/** The nearest ancestor that is npx. */
function findNpx() {
  for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) {
    if (/^(npm exec|npx) |\/npx\0|\/npx-cli\.js\0/.test(read(`/proc/${pid}/cmdline`))) return pid;
  }
  return undefined;
}

/** The second word behind the name in parentheses, which may itself hold anything. */
function parentOf(pid) {
  const words = read(`/proc/${pid}/stat`).split(") ").at(-1).split(" ");
  return Number(words[1] ?? 0);
}

function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
