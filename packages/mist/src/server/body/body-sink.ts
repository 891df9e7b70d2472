// The port between a response body and the exchange it belongs to.

import type { Flow } from "@x/glisten/kit";

/** Where a writer puts the content of a response. */
export interface BodySink {
  /** Blocked while the client takes less than it is sent. */
  readonly room: Flow;
  /** Bytes written and not yet taken by the kernel. */
  readonly bufferedAmount: number;
  /** The response is complete or given up: nothing more can be written. */
  readonly over: boolean;
  /** What is told of a client that has gone; undefined while it is there. */
  readonly gone: unknown;
  /** The connection has been told to shut down: finish soon. */
  readonly shuttingDown: boolean;
  /** Has what was written leave before the event loop goes on. */
  flush(): void;
  /** Writes a piece. `onSent` is called when the kernel has taken it, or never will. */
  write(data: string | Uint8Array, onSent?: () => void): void;
  /** Ends the content; what the response has as trailers follows. */
  end(): void;
  /** What produces the content has failed: reported, and the response is broken off. */
  fail(error: unknown): void;
  /** Breaks the response off; nobody is to blame. `"reset"`: without what the client has not taken yet. */
  breakOff(how?: "close" | "reset"): void;
  /** Reports a failure of the user's code that the response does not suffer from, unless it is that the client has gone. */
  report(error: unknown): void;
  /** Has the writer's `deadline` called in `ms` milliseconds; 0 clears. One slot. */
  setDeadline(ms: number): void;
}
