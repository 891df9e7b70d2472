// What is known about the server of a run: its limits, and when it stopped.

import type { Stop } from "./scenario.ts";

/** Facts about one server. Instants are milliseconds since the run began. */
export class ServerFacts {
  readonly limits: Readonly<Record<string, number>>;
  readonly deadlines: Readonly<Record<string, number>>;
  /** `stop` was called, and the drain began. */
  stopCalledAt: number | undefined = undefined;
  drainAt: number | undefined = undefined;
  /** What is left is destroyed. */
  deadlineAt: number = Number.POSITIVE_INFINITY;
  killedAt: number | undefined = undefined;
  closedAt: number | undefined = undefined;
  /** When a listener or the acceptors were ended from without. */
  crashes = 0;
  /** Whether connections may be turned away, and how many were told so. */
  mayRefuse = false;
  refused = 0;

  constructor(limits: Readonly<Record<string, number>>, deadlines: Readonly<Record<string, number>>) {
    this.limits = limits;
    this.deadlines = deadlines;
  }

  limit(name: string): number {
    const value = this.limits[name];
    if (value === undefined) throw new Error(`no limit ${name}`);
    return value;
  }

  /** A deadline; one of 0 is none. */
  deadline(name: string): number {
    const value = this.deadlines[name];
    if (value === undefined) throw new Error(`no deadline ${name}`);
    if (name === "stopGraceMs") return Math.max(1, value);
    return value === 0 ? Number.POSITIVE_INFINITY : value;
  }

  /** `stop` is called. */
  stopping(now: number, { delayMs, deadlineMs }: Pick<Stop, "delayMs" | "deadlineMs">): void {
    this.stopCalledAt ??= now;
    this.drainAt = Math.min(this.drainAt ?? Number.POSITIVE_INFINITY, now + delayMs);
    this.deadlineAt = Math.min(this.deadlineAt, now + delayMs + deadlineMs);
  }

  killed(now: number): void {
    this.killedAt ??= now;
    this.stopCalledAt ??= now;
    this.drainAt = Math.min(this.drainAt ?? Number.POSITIVE_INFINITY, now);
    this.deadlineAt = Math.min(this.deadlineAt, now);
  }

  /** Whether connections may have been destroyed by now. */
  mayKill(now: number): boolean {
    return now >= this.deadlineAt - 1;
  }

  drains(now: number): boolean {
    return this.drainAt !== undefined && now >= this.drainAt;
  }
}
