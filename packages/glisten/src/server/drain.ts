// How a server stops: the signal, the delay, the deadline, the connections that still arrive, and the report.
//
// When a stop begins, the kernel holds connections that Node has not accepted, and Node holds some that no acceptor has
// taken or that are shaking hands. Their clients do not know that the server is stopping; closing the
// listening socket, or theirs, would look like a crash. So the server accepts these before it stops the tree.

import { setMaxListeners } from "node:events";
import { clock, oneTurn, type Timer } from "../clock.ts";
import type { CloseReason } from "../connection/protocol.ts";
import { UsageError } from "../errors.ts";
import { checkNames, shown } from "../option-names.ts";
import { longestTimerMs } from "../option-values.ts";
import type { StopCount, StopOptions, StopReport } from "./server-interface.ts";

/** A stop waits this long for handshakes at most, and for no part of the arrivals longer than a quarter of its time. */
const handshakesMs = 500;
const lookAgainMs = 5;
/** A turn of an event loop that has nothing to do takes some 10 microseconds. */
const shortTurnMs = 0.1;
const shortTurnWaitMs = 100;

/** What `stop` was given, checked. @throws UsageError */
export function stopTimes(given: number | StopOptions = {}): {
  readonly delayMs: number;
  readonly deadlineMs: number | undefined;
} {
  const options = typeof given === "number" ? { deadlineMs: given } : given;
  checkNames("stop", options, ["deadlineMs", "delayMs"]);
  const { delayMs = 0, deadlineMs } = options;
  if (typeof delayMs !== "number" || !(delayMs >= 0 && delayMs <= longestTimerMs)) {
    throw new UsageError(`delayMs must be a number from 0 to ${longestTimerMs}, got ${shown(delayMs)}`);
  }
  if (deadlineMs !== undefined && (typeof deadlineMs !== "number" || !(deadlineMs >= 0))) {
    throw new UsageError(`deadlineMs must be a number of at least 0, got ${shown(deadlineMs)}`);
  }
  return { delayMs, deadlineMs };
}

/** What a drain asks of its server while the last connections arrive. */
export interface Arriving {
  /** Sockets Node has handed over so far. */
  readonly taken: number;
  /** How many more the kernel can hold. */
  readonly backlog: number;
  /** A TLS handshake or PROXY header is under way. */
  readonly handshaking: boolean;
  /** A connection waits for an acceptor. */
  readonly waiting: boolean;
  /** Stops accepting. */
  closeListener(): void;
}

/** The stop of one server. */
export class Drain {
  readonly #tally: Map<string, { drained: number; killed: number }> = new Map();
  #beginsAt = Number.POSITIVE_INFINITY;
  #endsAt = Number.POSITIVE_INFINITY;
  #begun = false;
  #timer: Timer | undefined = undefined;
  #abort: AbortController | undefined = undefined;

  /** Aborted from the first plan on. Made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      setMaxListeners(0, this.#abort.signal); // any number of streams may listen at once
      if (this.#beginsAt !== Number.POSITIVE_INFINITY) this.#abort.abort(stoppingReason());
    }
    return this.#abort.signal;
  }

  /** Milliseconds until the deadline; undefined until the drain has begun. */
  get left(): number | undefined {
    return this.#begun ? Math.max(0, this.#endsAt - clock.now()) : undefined;
  }

  /**
   * Has the drain begin in `delayMs` and end `deadlineMs` later; calls `begin` then. A further plan can bring either
   * instant nearer, and puts neither off.
   */
  plan(delayMs: number, deadlineMs: number, begin: () => void = () => {}): void {
    const beginsAt = clock.now() + delayMs;
    this.#endsAt = Math.min(this.#endsAt, beginsAt + deadlineMs);
    if (this.#begun || beginsAt >= this.#beginsAt) return;
    this.#beginsAt = beginsAt;
    clock.clearTimer(this.#timer);
    if (delayMs > 0) this.#timer = clock.setTimer(() => this.#begin(deadlineMs, begin), delayMs);
    this.#abort?.abort(stoppingReason());
    if (delayMs === 0) this.#begin(deadlineMs, begin);
  }

  #begin(deadlineMs: number, begin: () => void): void {
    // A timer may fire a fraction of a millisecond early; the deadline does not grow by it.
    this.#endsAt = Math.min(this.#endsAt, clock.now() + deadlineMs);
    this.#begun = true;
    begin();
  }

  /** A connection is gone. */
  count(kind: string, reason: CloseReason): void {
    if (!this.#begun) return;
    let counts = this.#tally.get(kind);
    if (counts === undefined) {
      counts = { drained: 0, killed: 0 };
      this.#tally.set(kind, counts);
    }
    if (reason.type === "killed") counts.killed += 1;
    else counts.drained += 1;
  }

  report(): StopReport {
    const byKind: Record<string, StopCount> = Object.fromEntries(this.#tally);
    let drained = 0;
    let killed = 0;
    for (const counts of Object.values(byKind)) {
      drained += counts.drained;
      killed += counts.killed;
    }
    return { type: "shutdown", drained, killed, byKind };
  }

  /** Accepts the clients that have already connected; resolves at once when there are none. */
  async lastArrivals(server: Arriving): Promise<void> {
    const quarter = (this.left ?? 0) / 4;
    await this.#emptyBacklog(server, clock.now() + quarter);
    server.closeListener(); // now, while the kernel holds no connections
    // A connection that waits for an acceptor is served in its turn, as far as the deadline allows. A handshake depends
    // on the peer, which must not hold up the stop.
    const handshakesUntil = clock.now() + Math.min(handshakesMs, quarter);
    while (this.#mayArrive(server, handshakesUntil)) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, lookAgainMs));
    }
  }

  #mayArrive(server: Arriving, until: number): boolean {
    return this.left! > 0 && (server.waiting || (clock.now() < until && server.handshaking));
  }

  /**
   * Closing the listening socket resets all connections that wait in the kernel, and Node accepts one of them in a turn
   * of the event loop. So turns pass until one brings no connection, or as many have come as can have been waiting.
   * More clients connect while a long turn runs its callbacks, or the process waits for a processor: a short turn is
   * worth a wait.
   */
  async #emptyBacklog(server: Arriving, until: number): Promise<void> {
    const all = server.taken + server.backlog;
    const shortUntil = clock.now() + shortTurnWaitMs;
    await oneTurn(); // may be under way already
    for (let now = clock.now(); now < until && server.taken < all; ) {
      const [before, beganAt] = [server.taken, now];
      await oneTurn();
      now = clock.now();
      if (server.taken === before && (now - beganAt < shortTurnMs || now > shortUntil)) return;
    }
  }
}

function stoppingReason(): DOMException {
  return new DOMException("The server is stopping", "AbortError");
}
