/**
 * Methods (RFC 9110 §9). Any token is a method, and case counts; these are the registered ones a
 * server meets every day, as constants, so that parsing one allocates nothing.
 */

/** A request method: one of the well-known ones or any other token. */
export type Method =
  | "GET"
  | "HEAD"
  | "POST"
  | "PUT"
  | "DELETE"
  | "CONNECT"
  | "OPTIONS"
  | "TRACE"
  | "PATCH"
  | (string & {});

/** The well-known methods by length: a candidate needs its length and its bytes to agree. */
const BY_LENGTH: readonly (readonly string[])[] = [
  [],
  [],
  [],
  ["GET", "PUT"],
  ["POST", "HEAD"],
  ["PATCH", "TRACE"],
  ["DELETE"],
  ["OPTIONS", "CONNECT"],
];

/** The method in `bytes[start, end)`. The bytes have been checked to be a token. */
export function readMethod(bytes: Buffer, start: number, end: number): string {
  const candidates = BY_LENGTH[end - start];
  if (candidates !== undefined) {
    for (const candidate of candidates) {
      if (matches(bytes, start, candidate)) return candidate;
    }
  }
  return bytes.toString("latin1", start, end);
}

function matches(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (bytes[start + i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** Safe methods only read (RFC 9110 §9.2.1). */
export function isSafe(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE";
}

/** Idempotent methods can be sent again without harm (RFC 9110 §9.2.2). */
export function isIdempotent(method: string): boolean {
  return isSafe(method) || method === "PUT" || method === "DELETE";
}
