/**
 * How a server comes to its end: the deadline, who may still arrive, and what became of whom.
 *
 * The kernel has accepted connections that Node has not, and Node some that no acceptor has taken or whose handshake
 * is under way. Their clients do not know that the server is stopping; closing the listening socket, or their own,
 * would look to them like a crash. So there is a moment in which they still arrive, before the tree is stopped.
 */

import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import type { CloseReason } from "../connection/protocol.ts";
import type { StopCount, StopReport } from "./server-interface.ts";

/** How long at most a stop waits for handshakes; no more than a quarter of its deadline, as for who has connected. */
const HANDSHAKES_MS = 500;
const LOOK_AGAIN_MS = 5;

/** What is asked of a server whose last connections arrive. */
export interface Arriving {
  /** Sockets Node has handed over so far. */
  readonly taken: number;
  /** How many more the kernel can hold for us. */
  readonly backlog: number;
  /** Somebody is shaking hands. */
  readonly handshaking: boolean;
  /** Somebody waits for an acceptor. */
  readonly waiting: boolean;
  /** Takes nobody any more. */
  closeListener(): void;
}

/** The stop of one server. */
export class Drain {
  private endsAt: number | undefined = undefined;
  private readonly tally: Map<string, { drained: number; killed: number }> = new Map();

  /** Milliseconds until the deadline; undefined while nobody has said `stop`. */
  get left(): number | undefined {
    return this.endsAt === undefined ? undefined : Math.max(0, this.endsAt - performance.now());
  }

  /** Begins the end, or brings its deadline nearer; never puts it off. */
  within(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (this.endsAt === undefined || at < this.endsAt) this.endsAt = at;
  }

  /** A connection is gone. */
  count(kind: string, reason: CloseReason): void {
    if (this.endsAt === undefined) return;
    let counts = this.tally.get(kind);
    if (counts === undefined) {
      counts = { drained: 0, killed: 0 };
      this.tally.set(kind, counts);
    }
    if (reason.type === "killed") counts.killed += 1;
    else counts.drained += 1;
  }

  report(): StopReport {
    const byKind: Record<string, StopCount> = Object.fromEntries(this.tally);
    let drained = 0;
    let killed = 0;
    for (const counts of Object.values(byKind)) {
      drained += counts.drained;
      killed += counts.killed;
    }
    return { type: "shutdown", drained, killed, byKind };
  }

  /** Lets arrive who has connected already; done at once when nobody has. */
  async lastArrivals(server: Arriving): Promise<void> {
    const quarter = (this.left ?? 0) / 4;
    await this.emptyBacklog(server, performance.now() + quarter);
    server.closeListener(); // now, while nobody waits in the kernel
    // Who waits for an acceptor is served when its turn comes, as far as the deadline allows; a handshake depends on
    // the peer, and whoever does not get on with it must not hold up the stop.
    const handshakesUntil = performance.now() + Math.min(HANDSHAKES_MS, quarter);
    while (this.mayArrive(server, handshakesUntil)) await sleep(LOOK_AGAIN_MS);
  }

  private mayArrive(server: Arriving, until: number): boolean {
    return this.left! > 0 && (server.waiting || (performance.now() < until && server.handshaking));
  }

  /**
   * Closing the listening socket resets all who wait in the kernel, and Node takes one of them in a turn of the event
   * loop. So the turns go on until one brings nobody, or as many have come as could have been waiting.
   */
  private async emptyBacklog(server: Arriving, until: number): Promise<void> {
    let before = -1;
    let taken = server.taken;
    const all = taken + server.backlog;
    while (taken !== before && taken < all && performance.now() < until) {
      before = taken;
      // The first turn may have been under way already.
      await nextTurn();
      await nextTurn();
      taken = server.taken;
    }
  }
}
