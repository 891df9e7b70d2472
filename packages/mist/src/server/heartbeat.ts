// Is the peer of a WebSocket still there? Decided when the connection's one deadline falls due, from counters that
// are kept anyway: a packet costs nothing.
//
// Silence for one ping interval is answered with a ping, further silence for the pong timeout is a lost peer: both
// are counted from the last time we looked, so a dead peer is noticed after at most two intervals and a timeout.

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

export class Heartbeat {
  readonly #connection: Connection;
  readonly #settings: HeartbeatSettings;
  #bytesRead = 0;
  #bytesTaken = 0;
  /** The instant of a ping not yet answered; 0: none. */
  #pingedAt = 0;
  #messages = -1;
  #idleFrom = 0;
  /** The instant the peer was last known to be there. */
  #aliveAt = 0;

  constructor(connection: Connection, settings: HeartbeatSettings) {
    this.#connection = connection;
    this.#settings = settings;
  }

  /** Begins to count. */
  start(): void {
    const now = performance.now();
    this.#aliveAt = now;
    this.#idleFrom = now;
    this.#arm(now);
  }

  /**
   * The deadline has passed.
   *
   * @param messages how many messages have come so far
   * @param held is it we who are not reading? Then silence says nothing.
   */
  due(messages: number, held: boolean): Verdict {
    const now = performance.now();
    const verdict = this.#judge(now, messages, held);
    if (verdict === "ping" || verdict === "nothing") this.#arm(now);
    return verdict;
  }

  #judge(now: number, messages: number, held: boolean): Verdict {
    const { pingIntervalMs, pongTimeoutMs, idleTimeoutMs } = this.#settings;
    if (this.#heard() || held) {
      this.#aliveAt = now;
      this.#pingedAt = 0;
    }
    if (messages !== this.#messages || held) {
      this.#messages = messages;
      this.#idleFrom = now;
    }
    // The wheel is coarse, but never early by more than a clock's grain.
    if (idleTimeoutMs > 0 && now - this.#idleFrom >= idleTimeoutMs - 1) return "idle";
    if (pingIntervalMs === 0) return "nothing";
    if (this.#pingedAt > 0) return now - this.#pingedAt >= pongTimeoutMs - 1 ? "lost" : "nothing";
    if (now - this.#aliveAt < pingIntervalMs - 1) return "nothing";
    this.#pingedAt = now;
    return "ping";
  }

  /** Has anything come, or been taken, since we last looked? */
  #heard(): boolean {
    const { bytesRead, bytesWritten, bufferedAmount } = this.#connection;
    const taken = bytesWritten - bufferedAmount;
    // What we ping with is taken by the kernel, not by the peer: only a peer with a backlog shows life by taking.
    const heard = bytesRead !== this.#bytesRead || (bufferedAmount > 0 && taken !== this.#bytesTaken);
    this.#bytesRead = bytesRead;
    this.#bytesTaken = taken;
    return heard;
  }

  #arm(now: number): void {
    const { pingIntervalMs, pongTimeoutMs, idleTimeoutMs } = this.#settings;
    let ms = Number.POSITIVE_INFINITY;
    if (this.#pingedAt > 0) ms = pongTimeoutMs - (now - this.#pingedAt);
    else if (pingIntervalMs > 0) ms = pingIntervalMs - (now - this.#aliveAt);
    if (idleTimeoutMs > 0) ms = Math.min(ms, idleTimeoutMs - (now - this.#idleFrom));
    this.#connection.setDeadline(ms === Number.POSITIVE_INFINITY ? 0 : Math.max(1, ms));
  }
}
