// Ends a program when the npx that started it has ended. npx forwards Ctrl-C, but if it alone is told to stop (`kill $!` in
// a script), it exits and leaves pnpm and the server running, on their port. Needs /proc; without it, does nothing.

import { readFileSync } from "node:fs";

const intervalMs = 500;

/** Sends this process SIGTERM when the npx that started it is gone. */
export function stopWithNpx() {
  const npx = findNpx();
  if (npx === undefined) return;
  const timer = setInterval(() => {
    if (isAlive(npx)) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  }, intervalMs);
  timer.unref();
}

/** The nearest ancestor that is npx. */
function findNpx() {
  for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) {
    if (/^(npm exec|npx) |\/npx\0|\/npx-cli\.js\0/.test(read(`/proc/${pid}/cmdline`))) return pid;
  }
  return undefined;
}

/**
 * The second word after the name in parentheses, which may contain anything.
 *
 * @param {number} pid
 */
function parentOf(pid) {
  const [, parent = 0] = read(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  return Number(parent);
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}
