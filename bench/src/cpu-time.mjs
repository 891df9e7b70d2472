// CPU time of another process, all of its threads, so that a garbage collector at work beside the main thread counts.
// Linux tells it to the nanosecond; elsewhere the process is asked itself.

import { readdirSync, readFileSync } from "node:fs";

/** Microseconds of CPU that the threads of process `pid` have had so far; undefined where the kernel does not tell. */
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
