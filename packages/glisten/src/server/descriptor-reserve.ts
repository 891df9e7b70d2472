// One file descriptor kept for the moment when there are no others.
//
// libuv hides that `accept` ran out of descriptors: it accepts and closes the waiting connections by itself, without an
// error. So the reserve looks ahead. The number of a newly opened descriptor says how many are in use; once that nears
// the process's limit it is looked up for every connection. At the last one the reserve is given up, and the next
// connection reaches the server, which can refuse it and count it.

import { closeSync, openSync, readFileSync } from "node:fs";
import { devNull } from "node:os";

/** Without a known limit, look this often. */
const looksEvery = 64;

/** Descriptors for one listening server. */
export class DescriptorReserve {
  #descriptor: number | undefined = undefined;
  readonly #limit: number | undefined = descriptorLimit();
  /** Connections until the next look. */
  #untilLook = 0;

  constructor() {
    this.restore();
  }

  /** A connection was accepted. False: it had the last descriptor but the reserve's. */
  accepted(): boolean {
    if (this.#untilLook-- > 0) return true;
    const inUse = probe();
    if (inUse === undefined) return false;
    // Others open descriptors too: look again halfway, and again.
    this.#untilLook = this.#limit === undefined ? looksEvery : (this.#limit - inUse) >> 2;
    return true;
  }

  /** Gives the reserve up, so that one connection at a time can be accepted. */
  release(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#untilLook = 0;
  }

  /** Takes the reserve back. False: no descriptor is free, or only that one. */
  restore(): boolean {
    try {
      this.#descriptor ??= openSync(devNull, "r");
    } catch {
      return false;
    }
    if (probe() !== undefined) return true;
    this.release();
    return false;
  }
}

/** The lowest descriptor that is free; undefined: none is. */
function probe(): number | undefined {
  try {
    const descriptor = openSync(devNull, "r");
    closeSync(descriptor);
    return descriptor;
  } catch {
    return undefined;
  }
}

/** How many descriptors this process may have, where the system says so (Linux, proc(5)). */
function descriptorLimit(): number | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
    return limit === null ? undefined : Number(limit[1]);
  } catch {
    return undefined;
  }
}
