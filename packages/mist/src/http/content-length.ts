// Content-Length (RFC 9110 §8.6): reading it, and whether what a response declares agrees with its body.

import { UsageError } from "../errors.ts";

/** `1*DIGIT`, at most 2^53-1, at most 16 digits; `undefined` for anything else. */
export function parseContentLength(text: string): number | undefined {
  if (text.length === 0 || text.length > 16) return undefined;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : undefined;
}

/**
 * The length a response declares: the body's, and the one the user has set, which must agree where there is a body to
 * count. The answer to HEAD, and a 304, may tell the length of a body that is not there.
 *
 * @param length bytes of the body; undefined when it is streamed.
 * @param declared the user's own Content-Length.
 * @throws UsageError if they differ, or `length` is not an integer of at least 0.
 */
export function agreedLength(
  length: number | undefined,
  declared: number | undefined,
  withoutBody: boolean,
): number | undefined {
  if (length !== undefined && !(Number.isSafeInteger(length) && length >= 0)) {
    throw new UsageError(`the length of a body must be an integer of at least 0, got ${length}`);
  }
  if (length === undefined || declared === undefined || length === declared) return length ?? declared;
  if (withoutBody) return declared;
  throw new UsageError(`content-length is ${declared}, but the body has ${length} bytes`);
}
