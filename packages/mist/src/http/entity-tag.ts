// Entity tags (RFC 9110 §8.8.3): parsing, and the two ways to compare them.

/** An entity tag. `opaque` is what stands between the quotes. */
export interface EntityTag {
  readonly weak: boolean;
  readonly opaque: string;
}

// entity-tag = [ weak ] opaque-tag;  weak = %s"W/";  opaque-tag = DQUOTE *etagc DQUOTE
// etagc = %x21 / %x23-7E / obs-text
const entityTag = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/y;

/** Parses one entity tag; undefined if the text is anything else. */
export function parseEntityTag(text: string): EntityTag | undefined {
  entityTag.lastIndex = 0;
  const match = entityTag.exec(text);
  if (match === null || entityTag.lastIndex !== text.length) return undefined;
  return { weak: match[1] !== undefined, opaque: match[2]! };
}

/**
 * Parses the list of `If-Match` or `If-None-Match`: `"*"`, or the entity tags. Empty list members are allowed
 * (RFC 9110 §5.6.1.2).
 *
 * @returns undefined if the list is malformed.
 */
export function parseEntityTagList(text: string): "*" | readonly EntityTag[] | undefined {
  if (text.trim() === "*") return "*";
  const tags: EntityTag[] = [];
  let at = skipSeparators(text, 0);
  while (at < text.length) {
    entityTag.lastIndex = at;
    const match = entityTag.exec(text);
    if (match === null) return undefined;
    tags.push({ weak: match[1] !== undefined, opaque: match[2]! });
    const end = entityTag.lastIndex;
    at = skipSeparators(text, end);
    if (at < text.length && !text.slice(end, at).includes(",")) return undefined;
  }
  return tags;
}

function skipSeparators(text: string, from: number): number {
  let at = from;
  while (at < text.length && (text[at] === " " || text[at] === "\t" || text[at] === ",")) at++;
  return at;
}

/** The tag as it stands in a field. */
export function serializeEntityTag(tag: EntityTag): string {
  return tag.weak ? `W/"${tag.opaque}"` : `"${tag.opaque}"`;
}

/** Strong comparison (§8.8.3.2): equal, and neither is weak. */
export function strongMatch(a: EntityTag, b: EntityTag): boolean {
  return !a.weak && !b.weak && a.opaque === b.opaque;
}

/** Weak comparison (§8.8.3.2): equal but for a weak mark on either. */
export function weakMatch(a: EntityTag, b: EntityTag): boolean {
  return a.opaque === b.opaque;
}
