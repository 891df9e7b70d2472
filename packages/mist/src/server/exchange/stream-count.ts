// How many HTTP/2 streams there are, and what became of those that were open when the server stopped.

/** Streams of a server, counted: from the request until its response is complete or given up. */
export class StreamCount {
  /** Streams there are now. */
  open = 0;
  /** Since the server is stopping: ended by themselves. */
  drained = 0;
  /** Cut off at the stop deadline. */
  killed = 0;

  /** A stream is over. */
  end(stopping: boolean, killed: boolean): void {
    this.open -= 1;
    if (killed) this.killed += 1;
    else if (stopping) this.drained += 1;
  }
}
