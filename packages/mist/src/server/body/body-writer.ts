// What the exchange knows of the writers of streamed bodies: iterables and sources pull, actors push.

/**
 * A body being written. Made before the head is sent, so that a body that cannot be opened can still be answered with
 * 500, and started behind it. Lets go of its producer exactly once on every way out: at the end, when the producer
 * fails, when the client leaves, when the server is killed.
 */
export interface BodyWriter {
  /** Nothing more is worth producing once the client has half-closed. */
  readonly endsWithPeer: boolean;
  /** The head is sent: begin. */
  start(): void;
  /** The server is stopping. */
  shutdown(deadlineMs: number): void;
  /** The instant set with `sink.setDeadline` has passed. */
  deadline(): void;
  /** The response is over, or was never begun: let go of the producer. Called once. */
  close(): void;
}
