// What `request.signal` gives as its reason, whatever carried the request and however it ended.

import { expect } from "vitest";
import * as mist from "../../src/index.ts";

/** Expects the reason that fetch gives, with what became of the connection as its cause. */
export function expectAbortError(reason: unknown): void {
  expect(reason).toBeInstanceOf(DOMException);
  expect((reason as DOMException).name).toBe("AbortError");
  expect((reason as DOMException).message).not.toBe("");
  expect((reason as Error).cause).toBeInstanceOf(mist.TransportError);
}
