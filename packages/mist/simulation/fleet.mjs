// Processes that run seeds, range by range, until there are none left, time is up, or something was found.

import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

/** @typedef {import("./worker.mjs").Report} Report */
/** @typedef {import("./worker.mjs").Failure} Failure */

const worker = fileURLToPath(new URL("worker.mjs", import.meta.url));
const rangeSeeds = 100;
/** No range takes so long, unless a seed never ends. */
const silenceMs = 300_000;

/**
 * Runs seeds from `from` on.
 *
 * @param {string} url the simulator's module
 * @param {{ readonly from: number, readonly count: number, readonly untilMs?: number, readonly untilFound?: boolean,
 *   readonly processes?: number, readonly onRange?: (ran: number, failures: readonly Failure[]) => void }} options
 * @returns {Promise<{ readonly ran: number, readonly events: number, readonly failures: readonly Failure[] }>}
 */
export async function runSeeds(url, options) {
  const { from, count, untilMs = Number.POSITIVE_INFINITY, untilFound = false, onRange } = options;
  const { processes = Math.min(2, availableParallelism()) } = options;
  let next = from;
  let ran = 0;
  let events = 0;
  /** @type {Failure[]} */
  const failures = [];
  const isOver = () => next >= from + count || Date.now() >= untilMs || (untilFound && failures.length > 0);

  const one = () =>
    new Promise((resolve, reject) => {
      const child = fork(worker, [url], { execArgv: ["--max-semi-space-size=64", "--stack-trace-limit=0"] });
      /** @type {NodeJS.Timeout | undefined} */
      let timer;
      let current = from;
      const give = () => {
        clearTimeout(timer);
        if (isOver()) {
          child.disconnect();
          resolve(undefined);
          return;
        }
        current = next;
        const size = Math.min(rangeSeeds, from + count - next);
        next += size;
        timer = setTimeout(() => {
          child.kill("SIGKILL");
          failures.push({
            seed: current,
            invariant: "a run ends",
            detail: `one of the ${size} seeds from ${current} does not`,
          });
          resolve(undefined);
        }, silenceMs);
        child.send({ from: current, count: size, untilFound });
      };
      child.on("message", (message) => {
        if (message !== "ready") {
          const report = /** @type {Report} */ (message);
          ran += report.ran;
          events += report.events;
          failures.push(...report.failures);
          onRange?.(ran, report.failures);
        }
        give();
      });
      child.on("exit", (code) => {
        clearTimeout(timer);
        if (code !== 0 && code !== null)
          reject(new Error(`a process of the simulator ended with ${code}, at seed ${current} or behind`));
      });
    });

  await Promise.all(Array.from({ length: processes }, one));
  failures.sort((a, b) => a.seed - b.seed);
  return { ran, events, failures };
}
