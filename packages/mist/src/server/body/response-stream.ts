// The writing end of a response that an actor produces: chunked loops and event streams send through it.

/**
 * A streamed response body in progress.
 *
 * After `end`, `abort` or the client's leaving, `send` rejects with a TransportError.
 */
export interface ResponseStream {
  /**
   * Queues a piece of the body. Resolves at once while the client keeps up, else when it has caught up.
   * Empty pieces send nothing.
   *
   * @throws TransportError (rejects) when the response is over.
   */
  send(data: string | Uint8Array): Promise<void>;
  /** The client takes less than it is sent: `send` resolves when it has caught up. */
  readonly blocked: boolean;
  /** Bytes taken by `send` and not yet by the kernel. */
  readonly bufferedAmount: number;
  /** False once the response is over. */
  readonly open: boolean;
  /** Has the writer's `deadline` called in that many milliseconds; 0 clears. One slot. */
  setDeadline(ms: number): void;
  /** Ends the body in order. */
  end(): void;
  /** Breaks the body off, so that the client sees a failure. An error given, even undefined, is reported. */
  abort(...failure: readonly [error?: unknown]): void;
  /** Reports a failure of the user's code that the response is not to suffer from. */
  report(error: unknown): void;
}
