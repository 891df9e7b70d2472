// Is the peer of a WebSocket still there? Decided when the stream's one deadline falls due. Moving that deadline costs
// a packet a few field writes; only with an idle timeout there are two instants to wait for, and clocks are read.
//
// A peer that is silent for `pingIntervalMs` is pinged; one that is silent for `pongTimeoutMs` more is lost.

import { clock } from "@x/glisten/kit";
import type { ByteStream } from "../exchange/byte-stream.ts";

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

/** A protocol that watches its peer: a base rather than a part, so that an idle connection holds one object less. */
export abstract class Heartbeat {
  abstract readonly stream: ByteStream;
  abstract readonly settings: HeartbeatSettings;
  #pinged = false;
  /** Bytes the peer had taken at the last look. */
  #taken = 0;
  // Instants of clock.now(), kept only with an idle timeout.
  #lookAt = 0;
  #idleAt = 0;

  /** Begins to watch. */
  protected watch(): void {
    this.heardMessage();
    this.heard();
  }

  /** Bytes have come. */
  protected heard(): void {
    this.#pinged = false;
    this.#lookIn(this.settings.pingIntervalMs);
  }

  /** A message has come. */
  protected heardMessage(): void {
    const { idleTimeoutMs } = this.settings;
    if (idleTimeoutMs > 0) this.#idleAt = clock.now() + idleTimeoutMs;
  }

  /**
   * The deadline has passed.
   *
   * @param held whether it is we who do not read: then silence says nothing
   */
  protected judge(held: boolean): Verdict {
    const { settings, stream } = this;
    if (settings.idleTimeoutMs > 0) {
      if (held) this.heardMessage();
      const now = clock.now();
      // A clock's grain early is on time.
      if (now >= this.#idleAt - 1) return "idle";
      if (now < this.#lookAt - 1) {
        this.#lookIn(this.#lookAt - now);
        return "nothing";
      }
    }
    const { bufferedAmount } = stream;
    const taken = stream.bytesWritten - bufferedAmount;
    // A ping is taken by the kernel, not by the peer: only where there is a backlog is taking a sign of life.
    const takes = bufferedAmount > 0 && taken !== this.#taken;
    this.#taken = taken;
    if (held || takes) {
      this.heard();
      return "nothing";
    }
    if (this.#pinged) return "lost";
    this.#pinged = true;
    this.#lookIn(settings.pongTimeoutMs);
    return "ping";
  }

  #lookIn(ms: number): void {
    if (this.settings.idleTimeoutMs === 0) {
      this.stream.setDeadline(ms);
      return;
    }
    const now = clock.now();
    this.#lookAt = ms === 0 ? Number.POSITIVE_INFINITY : now + ms;
    this.stream.setDeadline(Math.max(1, Math.min(this.#lookAt, this.#idleAt) - now));
  }
}
