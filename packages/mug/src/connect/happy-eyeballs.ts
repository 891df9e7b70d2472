// Happy Eyeballs, RFC 8305: both families are resolved at once, their addresses take turns beginning with the preferred
// family, each address gets a head start over the next, and the first connection wins.

import type { Socket as NetSocket } from "node:net";
import { clock, type Timer } from "../clock.ts";
import { Deadline } from "../deadline.ts";
import { type ConnectAttempt, type ConnectFailure, type MugError, toMugError } from "../errors.ts";
import { defaults } from "../options.ts";
import type { Socket } from "../socket/socket.ts";
import { type ConnectPlan, connectFailed, openTcp, secureIfAsked } from "./dial.ts";
import { addressesOf, type Candidate, type Family, familyName } from "./resolve.ts";

/** RFC 8305 §3: how long the addresses of the other family wait for those of the preferred one. */
const resolutionDelayMs = 50;

interface Won {
  readonly raw: NetSocket;
  readonly candidate: Candidate;
}

/** Connects to whichever address answers first; one deadline for everything. */
export async function raceFamilies(
  plan: ConnectPlan,
  families: readonly Family[],
  deadline: Deadline,
): Promise<Socket> {
  const { raw, candidate } = await new Race(plan, families, deadline).run();
  try {
    return await secureIfAsked(raw, plan, deadline);
  } catch (error) {
    const cause = toMugError(error);
    if (cause.code === "aborted") throw cause;
    const family = familyName(candidate.family);
    throw connectFailed(plan, { [family]: cause, attempts: [{ ...candidate, family, error: cause }] });
  }
}

class Race {
  readonly #plan: ConnectPlan;
  readonly #families: readonly Family[];
  readonly #deadline: Deadline;
  /** Aborts every attempt that is still under way. */
  readonly #over: AbortController = new AbortController();
  /** Addresses not tried yet, per family in order of preference. */
  readonly #waiting: Map<Family, string[]> = new Map();
  readonly #attempts: ConnectAttempt[] = [];
  readonly #causes: Map<Family, MugError> = new Map();
  #lookups = 0;
  #running = 0;
  /** Families take turns; this one is next. */
  #turn = 0;
  #headStart: Timer | undefined;
  /** The next address was due when there was none. */
  #due = false;
  #resolve: (won: Won) => void = () => {};
  #reject: (error: MugError) => void = () => {};

  constructor(plan: ConnectPlan, families: readonly Family[], deadline: Deadline) {
    this.#plan = plan;
    this.#families = families;
    this.#deadline = deadline;
  }

  async run(): Promise<Won> {
    const stop = this.#deadline.onExpiry("connect", (error) => this.#expire(error));
    try {
      return await new Promise<Won>((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        this.#lookups = this.#families.length;
        for (const family of this.#families) void this.#resolveFamily(family);
      });
    } finally {
      stop();
      clock.clearTimer(this.#headStart);
      this.#over.abort();
    }
  }

  async #resolveFamily(family: Family): Promise<void> {
    try {
      this.#waiting.set(family, [...(await addressesOf(this.#plan, family))]);
    } catch (error) {
      this.#causes.set(family, toMugError(error));
    }
    this.#lookups--;
    const early = this.#lookups > 0 && family !== this.#families[0];
    if (early) this.#delay(resolutionDelayMs);
    else if (this.#running === 0 || this.#due) this.#startNext();
  }

  /** Starts the next attempt when the time is up, unless something starts it sooner. */
  #delay(ms: number): void {
    clock.clearTimer(this.#headStart);
    this.#headStart = clock.setTimer(() => this.#startNext(), ms);
  }

  #startNext(): void {
    clock.clearTimer(this.#headStart);
    if (this.#over.signal.aborted) return;
    const candidate = this.#takeCandidate();
    this.#due = candidate === undefined;
    if (candidate === undefined) {
      if (this.#running === 0 && this.#lookups === 0) this.#fail();
      return;
    }
    void this.#attempt(candidate);
    this.#delay(this.#plan.attemptDelayMs ?? defaults.attemptDelayMs);
  }

  #takeCandidate(): Candidate | undefined {
    for (let tries = 0; tries < this.#families.length; tries++) {
      const family = this.#families[this.#turn++ % this.#families.length]!;
      const address = this.#waiting.get(family)?.shift();
      if (address !== undefined) return { address, family };
    }
    return undefined;
  }

  async #attempt(candidate: Candidate): Promise<void> {
    this.#running++;
    try {
      const own = new Deadline({ signal: this.#over.signal });
      const raw = await openTcp(this.#plan, candidate, own);
      // Two may connect in one turn of the event loop; the second is not needed.
      if (this.#over.signal.aborted) raw.destroy();
      else this.#resolve({ raw, candidate });
      this.#over.abort();
    } catch (error) {
      this.#running--;
      if (!this.#over.signal.aborted) this.#failed(candidate, toMugError(error));
    }
  }

  #failed(candidate: Candidate, error: MugError): void {
    const family = familyName(candidate.family);
    this.#attempts.push({ address: candidate.address, family, error });
    this.#causes.set(candidate.family, error);
    this.#startNext();
  }

  #expire(error: MugError): void {
    if (error.code === "aborted") {
      this.#reject(error);
      return;
    }
    for (const family of this.#families) if (!this.#causes.has(family)) this.#causes.set(family, error);
    this.#fail();
  }

  #fail(): void {
    const failure: ConnectFailure = {
      ipv4: this.#causes.get(4),
      ipv6: this.#causes.get(6),
      attempts: this.#attempts,
    };
    this.#reject(connectFailed(this.#plan, failure));
  }
}
