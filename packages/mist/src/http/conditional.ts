// Conditional requests (RFC 9110 §13): which preconditions hold, in the order that §13.2.2 sets.
//
// Evaluates; makes no response. The time is an argument.

import { parseDate } from "./date.ts";
import { type EntityTag, parseEntityTag, parseEntityTagList, strongMatch, weakMatch } from "./entity-tag.ts";
import { type Fields, getField } from "./fields.ts";

/** What the selected representation is compared by. */
export interface Validators {
  /** The current entity tag as it stands in the field, such as `W/"1f4-18c"`. */
  readonly etag?: string | undefined;
  /** Time of the last change, in milliseconds since the epoch; compared by the second. */
  readonly lastModifiedMs?: number | undefined;
}

/** The parts of a request that preconditions look at. A mist `Request` is one. */
export interface ConditionalRequest {
  /** The method, which decides between 304 and 412. */
  readonly method: string;
  /** The fields; several lines of one name count as one value (RFC 9110 §5.3). */
  readonly headers: Fields;
}

/** How to answer: as if there were no conditions, with 304, or with 412. */
export type PreconditionResult = "proceed" | "not-modified" | "precondition-failed";

/**
 * Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since` in the order of precedence of
 * RFC 9110 §13.2.2. To be asked once the answer without them would be a success, before the method is performed.
 *
 * @param current validators of the selected representation; undefined if there is none yet (an upload to a new name).
 * @param nowMs the present, in milliseconds since the epoch.
 */
export function evaluatePreconditions(
  request: ConditionalRequest,
  current: Validators | undefined,
  nowMs: number,
): PreconditionResult {
  const { method } = request;
  // §13.2.1: they say nothing for methods that neither select nor change a representation.
  if (method === "CONNECT" || method === "OPTIONS" || method === "TRACE") return "proceed";
  const retrieval = method === "GET" || method === "HEAD";
  // Steps 1 and 2: guards against a lost update.
  if (!lostUpdateGuardHolds(request, current, nowMs)) return "precondition-failed";
  // Step 3.
  const ifNoneMatch = getField(request.headers, "if-none-match");
  if (ifNoneMatch !== undefined) {
    if (!anyMatch(ifNoneMatch, current, weakMatch)) return "proceed";
    return retrieval ? "not-modified" : "precondition-failed";
  }
  // Step 4.
  if (
    retrieval &&
    isUnmodifiedSince(getField(request.headers, "if-modified-since"), current, nowMs) === true
  ) {
    return "not-modified";
  }
  return "proceed";
}

function lostUpdateGuardHolds(
  request: ConditionalRequest,
  current: Validators | undefined,
  nowMs: number,
): boolean {
  const ifMatch = getField(request.headers, "if-match");
  if (ifMatch !== undefined) return anyMatch(ifMatch, current, strongMatch);
  return isUnmodifiedSince(getField(request.headers, "if-unmodified-since"), current, nowMs) !== false;
}

/**
 * Whether `Range` is to be heeded as far as `If-Range` goes (RFC 9110 §13.1.5): true without the field, or if the
 * representation is still exactly the one that the client has a part of. Weak tags never match.
 */
export function ifRangeHolds(value: string | undefined, current: Validators, nowMs: number): boolean {
  if (value === undefined) return true;
  const tag = parseEntityTag(value);
  if (tag !== undefined) {
    const own = current.etag === undefined ? undefined : parseEntityTag(current.etag);
    return own !== undefined && strongMatch(tag, own);
  }
  const date = parseDate(value, nowMs);
  if (date === undefined || current.lastModifiedMs === undefined) return false;
  // A date is a strong validator only when it is at least a second in the past: a file can change twice within
  // the second that its date names (§8.8.2.2).
  return date === wholeSecond(current.lastModifiedMs) && date <= nowMs - 1000;
}

// A malformed list matches nothing: If-Match then fails safely, and If-None-Match gives the whole answer.
function anyMatch(
  list: string,
  current: Validators | undefined,
  matches: (a: EntityTag, b: EntityTag) => boolean,
): boolean {
  const tags = parseEntityTagList(list);
  if (tags === undefined || current === undefined) return false;
  if (tags === "*") return true;
  const own = current.etag === undefined ? undefined : parseEntityTag(current.etag);
  return own !== undefined && tags.some((tag) => matches(tag, own));
}

// Undefined where the condition is to be ignored: no field, no date in it, or nothing to compare it with.
function isUnmodifiedSince(
  value: string | undefined,
  current: Validators | undefined,
  nowMs: number,
): boolean | undefined {
  if (value === undefined || current?.lastModifiedMs === undefined) return undefined;
  const date = parseDate(value, nowMs);
  return date === undefined ? undefined : wholeSecond(current.lastModifiedMs) <= date;
}

function wholeSecond(instantMs: number): number {
  return Math.floor(instantMs / 1000) * 1000;
}
