// A byte stream with flow control: what a protocol behind an upgrade runs on.
//
// An upgraded HTTP/1.1 connection is one, glisten's `Connection` as it stands; so is the stream of an extended CONNECT
// in HTTP/2 (RFC 8441). What arrives, and what happens to the stream, is told through glisten's `Protocol`. A peer that
// takes nothing is cut off by the stream's own send deadline.

import type { ConnectionInfo, Sendable } from "@x/glisten";

/** One byte stream to a peer. Counts are bytes. */
export interface ByteStream {
  /**
   * Writes. False: the peer takes less than it is given, and `Protocol.drain` tells when it has caught up. Also false
   * once the stream is closing, when the bytes go nowhere. Several parts leave in one write.
   */
  write(data: Sendable, encoding?: "utf8" | "latin1"): boolean;
  /** Written and not yet taken by what is below. */
  readonly bufferedAmount: number;
  /** Written so far, {@link bufferedAmount} included. */
  readonly bytesWritten: number;
  /** Writes what waits, then ends the stream in an orderly way. */
  close(): void;
  /** Ends the stream at once; what waits is lost. `deadline` names the one that has passed, for the close reason. */
  reset(deadline?: string): void;
  /** `Protocol.deadline` is called `ms` from now; 0: never. A later call replaces an earlier one. */
  setDeadline(ms: number): void;
  /** True from the moment nothing can be sent or received any more. */
  readonly closed: boolean;
  /** The peer's address and port. */
  info(): ConnectionInfo;
}
