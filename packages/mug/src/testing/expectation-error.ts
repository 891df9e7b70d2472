// The error of the testing kit: what was expected, what came, and the conversation so far.

import type { Transcript } from "./transcript.ts";

export interface ExpectationDetails {
  /** For test runners that show a difference. */
  readonly expected?: string | undefined;
  readonly actual?: string | undefined;
  readonly cause?: unknown;
}

/** An expectation of a scripted peer failed, or its connection did. The message ends with the transcript. */
export class ExpectationError extends Error {
  override readonly name: string = "ExpectationError";
  /** The conversation so far, as in the message. */
  readonly transcript: string;
  /** What was expected, if known; test runners show the difference. */
  readonly expected: string | undefined;
  /** What came, likewise. */
  readonly actual: string | undefined;

  /** @internal */
  constructor(what: string, transcript: Transcript, details: ExpectationDetails = {}) {
    const written = transcript.toString();
    super(`${what}\n\n${written}`, "cause" in details ? { cause: details.cause } : undefined);
    this.transcript = written;
    this.expected = details.expected;
    this.actual = details.actual;
  }
}
