/** The one error of the kit: what was expected, what came, and the whole conversation below it. */

import type { Transcript } from "./transcript.ts";

export interface ExpectationDetails {
  /** For test runners that show a difference. */
  readonly expected?: string;
  readonly actual?: string;
  readonly cause?: unknown;
}

/** A scripted peer's expectation did not hold, or its connection failed under it. The message ends with the transcript. */
export class ExpectationError extends Error {
  override readonly name: string = "ExpectationError";
  /** The conversation so far, as it stands in the message. */
  readonly transcript: string;
  /** What was expected, escaped, where it is known; test runners show the difference. */
  readonly expected: string | undefined;
  /** What came, likewise. */
  readonly actual: string | undefined;

  constructor(what: string, transcript: Transcript, details: ExpectationDetails = {}) {
    const written = transcript.toString();
    super(`${what}\n\n${written}`, "cause" in details ? { cause: details.cause } : undefined);
    this.transcript = written;
    this.expected = details.expected;
    this.actual = details.actual;
  }
}
