// Priorities: the `priority` field and PRIORITY_UPDATE (RFC 9218). The scheme of RFC 7540 is validated by the core
// and otherwise ignored, as RFC 9113 §5.3.2 allows.

/** How a response is to be scheduled (RFC 9218 §4). */
export interface Priority {
  /** 0, the most urgent, to 7. Default 3. */
  readonly urgency: number;
  /** Of use piece by piece, so that it shares its turns. Default false. */
  readonly incremental: boolean;
}

export const URGENCIES = 8;
export const DEFAULT_PRIORITY: Priority = Object.freeze({ urgency: 3, incremental: false });

const PRIORITIES: readonly Priority[] = Array.from({ length: URGENCIES * 2 }, (_, index) =>
  index === 6 ? DEFAULT_PRIORITY : Object.freeze({ urgency: index >> 1, incremental: (index & 1) === 1 }),
);

// A member of a dictionary (RFC 8941 §3.2): a key, a value if there is one, parameters. What is within quotes or
// parentheses may hold commas, but no key that concerns us.
const MEMBER =
  /^[ \t]*([a-z*][a-z0-9_.*-]*)(?:=((?:"(?:[^"\\]|\\["\\])*"|\([^)]*\)|[^",;()\s])*))?(?:;[^,]*)?[ \t]*(?:,|$)/;

/** A longer text says nothing: one that makes sense has a dozen characters, and a long one costs an octet in a table. */
export const MAX_PRIORITY = 256;

/**
 * Reads a priority field's value, a dictionary of structured fields (RFC 9218 §4, RFC 8941). Unknown members and
 * values of the wrong type or range are ignored; a text that is no dictionary says nothing at all (RFC 8941 §4.2).
 */
export function parsePriority(text: string): Priority {
  if (text.length > MAX_PRIORITY) return DEFAULT_PRIORITY;
  let urgency = DEFAULT_PRIORITY.urgency;
  let incremental = false;
  for (let rest = text; rest.trimStart() !== ""; ) {
    const match = MEMBER.exec(rest);
    if (match === null) return DEFAULT_PRIORITY;
    const value = match[2];
    // The last of several members with one key counts (RFC 8941 §4.2.2).
    if (match[1] === "u") urgency = value !== undefined && /^[0-7]$/.test(value) ? Number(value) : 3;
    else if (match[1] === "i") incremental = value === undefined || value === "?1";
    rest = rest.slice(match[0].length);
  }
  return PRIORITIES[urgency * 2 + (incremental ? 1 : 0)] as Priority;
}
