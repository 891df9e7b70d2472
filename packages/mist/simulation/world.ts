// What a run has seen: the transcript, and what was wrong in it.

import type { VirtualTime } from "./virtual-time.ts";

/** Something that must not be. */
export interface Finding {
  readonly invariant: string;
  readonly detail: string;
}

/** The transcript and the findings of one run. */
export class World {
  readonly time: VirtualTime;
  readonly findings: Finding[] = [];
  readonly #lines: string[] = [];
  /** What must be empty at the end, and is told if it is not. */
  readonly #checks: (() => void)[] = [];
  /** When the last part was over. */
  overAt = 0;
  #counts: Map<string, number> = new Map();

  constructor(time: VirtualTime) {
    this.time = time;
  }

  /** Notes what happened. */
  log(who: string, what: string): void {
    this.#lines.push(`${this.time.elapsed} ${who}: ${what}`);
  }

  /** Notes what must not have happened. */
  fail(invariant: string, detail: string): void {
    this.log("!", `${invariant}: ${detail}`);
    this.findings.push({ invariant, detail });
  }

  /** A part of the run is over: a client, a server, a supervisor. */
  over(): void {
    this.overAt = this.time.elapsed;
  }

  /** Has `check` called when the run is over. */
  atEnd(check: () => void): void {
    this.#checks.push(check);
  }

  finish(): void {
    for (const check of this.#checks) check();
  }

  /** Counts how often something happens, for the figures behind a long run. */
  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  get transcript(): readonly string[] {
    return this.#lines;
  }

  after(ms: number, run: () => void): { cancel(): void } {
    return this.time.after(ms, run);
  }

  /** Resolves later. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.time.after(ms, resolve));
  }
}
