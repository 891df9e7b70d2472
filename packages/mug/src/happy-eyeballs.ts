/**
 * Happy Eyeballs, RFC 8305: both families are resolved at once, their addresses take turns beginning with the
 * preferred family, each address gets a head start over the next, and the first connection wins.
 */

import type { Socket as NetSocket } from "node:net";
import {
  addressesOf,
  type Candidate,
  type ConnectPlan,
  connectFailed,
  Deadline,
  familyName,
  openTcp,
  secureIfAsked,
} from "./connect.ts";
import { type ConnectAttempt, type ConnectFailure, MugError, toMugError } from "./errors.ts";
import { type ConnectOptions, defaults } from "./options.ts";
import type { Socket } from "./socket.ts";

/** RFC 8305 §3: how long an answer for the other family waits for the preferred one's. */
const RESOLUTION_DELAY_MS = 50;

interface Won {
  readonly raw: NetSocket;
  readonly candidate: Candidate;
}

/** Connects to whichever address answers first; one timeout for everything. */
export async function raceFamilies(options: ConnectPlan, families: readonly (4 | 6)[]): Promise<Socket> {
  const deadline = new Deadline(options.timeout ?? defaults.timeout, options.signal);
  const { raw, candidate } = await new Race(options, families, deadline).run();
  try {
    return await secureIfAsked(raw, options, deadline);
  } catch (error) {
    const cause = toMugError(error);
    if (cause.code === "aborted") throw cause;
    const family = familyName(candidate.family);
    throw connectFailed(options, { [family]: cause, attempts: [{ ...candidate, family, error: cause }] });
  }
}

class Race {
  readonly #options: ConnectOptions;
  readonly #families: readonly (4 | 6)[];
  readonly #deadline: Deadline;
  /** Ends every attempt that is still under way. */
  readonly #over: AbortController = new AbortController();
  /** Addresses not tried yet, per family in order of preference. */
  readonly #waiting: Map<4 | 6, string[]> = new Map();
  readonly #attempts: ConnectAttempt[] = [];
  readonly #causes: Map<4 | 6, MugError> = new Map();
  #lookups = 0;
  #running = 0;
  /** Families take turns; this one is next. */
  #turn = 0;
  #headStart: NodeJS.Timeout | undefined;
  /** The next address may start, and there was none. */
  #due = false;
  #resolve: (won: Won) => void = () => {};
  #reject: (error: MugError) => void = () => {};

  constructor(options: ConnectOptions, families: readonly (4 | 6)[], deadline: Deadline) {
    this.#options = options;
    this.#families = families;
    this.#deadline = deadline;
  }

  async run(): Promise<Won> {
    const stop = this.#deadline.onExpiry((error) => this.#expire(error));
    try {
      return await new Promise<Won>((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        this.#lookups = this.#families.length;
        for (const family of this.#families) void this.#resolveFamily(family);
      });
    } finally {
      stop();
      clearTimeout(this.#headStart);
      this.#over.abort();
    }
  }

  async #resolveFamily(family: 4 | 6): Promise<void> {
    try {
      const addresses = await addressesOf(this.#options, family);
      if (addresses.length === 0) throw new MugError("nxdomain", `no ${familyName(family)} address`);
      this.#waiting.set(family, [...addresses]);
    } catch (error) {
      this.#causes.set(family, toMugError(error));
    }
    this.#lookups--;
    const early = this.#lookups > 0 && family !== this.#families[0];
    if (early) this.#delay(RESOLUTION_DELAY_MS);
    else if (this.#running === 0 || this.#due) this.#startNext();
  }

  /** Starts the next attempt when the time is up, unless something starts it sooner. */
  #delay(ms: number): void {
    clearTimeout(this.#headStart);
    this.#headStart = setTimeout(() => this.#startNext(), ms);
  }

  #startNext(): void {
    clearTimeout(this.#headStart);
    if (this.#over.signal.aborted) return;
    const candidate = this.#takeCandidate();
    this.#due = candidate === undefined;
    if (candidate === undefined) {
      if (this.#running === 0 && this.#lookups === 0) this.#fail();
      return;
    }
    void this.#attempt(candidate);
    this.#delay(this.#options.attemptDelay ?? defaults.attemptDelay);
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
      const own = new Deadline(Number.POSITIVE_INFINITY, this.#over.signal);
      const raw = await openTcp(this.#options, candidate, own);
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
    this.#reject(connectFailed(this.#options, failure));
  }
}
