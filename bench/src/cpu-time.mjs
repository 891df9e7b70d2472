// CPU time of another process, all threads included, so that garbage collection beside the main thread counts. Linux
// has it to the nanosecond; on other systems the process itself is asked.

import { readdirSync, readFileSync } from "node:fs";

/**
 * Microseconds of CPU that all threads of process `pid` have used; undefined where there is no such /proc.
 *
 * @param {number | undefined} pid
 */
export function threadTime(pid) {
  try {
    let nanoseconds = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]);
    }
    return nanoseconds / 1000;
  } catch {
    return undefined;
  }
}
