// Is the peer of a WebSocket still there? Decided when the connection's one deadline falls due, from counters that
// are kept anyway: a packet costs nothing, and an idle connection holds no clock.
//
// Silence from one look to the next is answered with a ping, silence up to the look after that is a lost peer. So a
// dead peer is noticed after at most two intervals and a timeout.

import { performance } from "node:perf_hooks";
import type { Connection } from "@x/glisten";

export interface HeartbeatSettings {
  /** Silence after which a ping is sent; 0: never. */
  readonly pingIntervalMs: number;
  /** Silence after a ping that means the peer is gone. */
  readonly pongTimeoutMs: number;
  /** Time without a message after which the connection is closed; 0: never. */
  readonly idleTimeoutMs: number;
}

/** What is to be done. */
export type Verdict = "nothing" | "ping" | "lost" | "idle";

/** With an idle timeout there is more than one thing to wait for, and clocks are needed. */
interface Clocks {
  messages: number;
  idleFrom: number;
  /** When the next look at the peer is due. */
  lookAt: number;
}

/** A protocol that watches its peer: a base rather than a part, so that an idle connection holds one object less. */
export abstract class Heartbeat {
  abstract readonly connection: Connection;
  abstract readonly settings: HeartbeatSettings;
  #bytesRead = 0;
  #bytesTaken = 0;
  #pinged = false;
  #clocks: Clocks | undefined;

  /** Begins to count. */
  protected watch(): void {
    const { settings } = this;
    if (settings.idleTimeoutMs > 0) {
      const now = performance.now();
      this.#clocks = { messages: 0, idleFrom: now, lookAt: now + lookIn(settings, false, false) };
    }
    this.#arm(lookIn(settings, false, false));
  }

  /**
   * The deadline has passed.
   *
   * @param messages how many messages have come so far
   * @param held is it we who are not reading? Then silence says nothing.
   */
  protected judge(messages: number, held: boolean): Verdict {
    const { settings } = this;
    const clocks = this.#clocks;
    if (clocks !== undefined) {
      const now = performance.now();
      if (held || messages !== clocks.messages) clocks.idleFrom = now;
      clocks.messages = messages;
      // A clock's grain early is on time.
      if (now - clocks.idleFrom >= settings.idleTimeoutMs - 1) return "idle";
      if (now < clocks.lookAt - 1) {
        this.#arm(0);
        return "nothing";
      }
    }
    const wasPinged = this.#pinged;
    const verdict = this.#look(held);
    const ms = lookIn(settings, this.#pinged, wasPinged);
    if (clocks !== undefined) clocks.lookAt = performance.now() + ms;
    if (verdict !== "lost") this.#arm(ms);
    return verdict;
  }

  #look(held: boolean): Verdict {
    const { bytesRead, bytesWritten, bufferedAmount } = this.connection;
    const taken = bytesWritten - bufferedAmount;
    // A ping is taken by the kernel, not by the peer: only where there is a backlog is taking a sign of life.
    const heard = bytesRead !== this.#bytesRead || (bufferedAmount > 0 && taken !== this.#bytesTaken);
    this.#bytesRead = bytesRead;
    this.#bytesTaken = taken;
    if (heard || held) {
      this.#pinged = false;
      return "nothing";
    }
    if (this.#pinged) return "lost";
    this.#pinged = true;
    return "ping";
  }

  #arm(ms: number): void {
    const clocks = this.#clocks;
    if (clocks === undefined) {
      this.connection.setDeadline(ms === Number.POSITIVE_INFINITY ? 0 : ms);
      return;
    }
    const next = Math.min(clocks.lookAt, clocks.idleFrom + this.settings.idleTimeoutMs);
    this.connection.setDeadline(Math.max(1, next - performance.now()));
  }
}

/** How long until the next look. One after a pong makes up for the time that was given to it. */
function lookIn(
  { pingIntervalMs, pongTimeoutMs }: HeartbeatSettings,
  pinged: boolean,
  wasPinged: boolean,
): number {
  if (pingIntervalMs === 0) return Number.POSITIVE_INFINITY;
  if (pinged) return pongTimeoutMs;
  return wasPinged && pingIntervalMs > pongTimeoutMs ? pingIntervalMs - pongTimeoutMs : pingIntervalMs;
}
