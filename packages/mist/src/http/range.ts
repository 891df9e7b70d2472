// Range requests (RFC 9110 §14): the byte ranges of a `Range` field, and the frame of a multipart/byteranges body.
//
// Ranges are offset and length here; the field's own first-last positions, both inclusive, stay inside this file.
// Attack: one short field can ask for the same bytes many times over ("Apache killer"). So ranges are counted before
// they are looked at, and merged before they are answered: no answer is longer than the representation and its frame.

/** A run of bytes within a representation. `length` is at least 1. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * What a `Range` field asks for: `"whole"` when it is to be ignored (another unit, malformed, too many ranges),
 * `"unsatisfiable"` when nothing it names exists (416), else at least one range.
 */
export type RangeSelection = "whole" | "unsatisfiable" | readonly ByteRange[];

/** Ranges a field may name before it is ignored as an attack; a PDF reader asks for a few, a seeking player for one. */
export const defaultMaxRanges = 32;

// Two parts closer than the frame between them cost more apart than together (§15.3.7.2 suggests this).
const frameOverhead = 80;

// int-range = first-pos "-" [ last-pos ];  suffix-range = "-" suffix-length
const rangeSpec = /^(?:(\d+)-(\d*)|-(\d+))$/;

/**
 * Parses a `Range` field against a representation of `size` bytes. Overlapping and nearly adjacent ranges come back
 * as one; the others keep the order of the request.
 *
 * @param field the field's value, such as `bytes=0-99,-1`.
 * @param size whole length of the representation in bytes.
 * @param maxRanges a field that names more is ignored.
 */
export function parseRange(
  field: string,
  size: number,
  maxRanges: number = defaultMaxRanges,
): RangeSelection {
  const equals = field.indexOf("=");
  if (equals < 0 || field.slice(0, equals).trim().toLowerCase() !== "bytes") return "whole";
  // Split no further than the limit, however long the field is.
  const specs = field.slice(equals + 1).split(",", 2 * maxRanges + 2);
  const ranges: ByteRange[] = [];
  let count = 0;
  for (const spec of specs) {
    const text = spec.trim();
    if (text === "") continue; // §5.6.1.2: a recipient takes empty list members
    if (++count > maxRanges) return "whole";
    const range = parseSpec(text, size);
    if (range === "malformed") return "whole";
    if (range !== "unsatisfiable") ranges.push(range);
  }
  if (count === 0 || specs.length > 2 * maxRanges) return "whole";
  return ranges.length === 0 ? "unsatisfiable" : merge(ranges);
}

function parseSpec(text: string, size: number): ByteRange | "malformed" | "unsatisfiable" {
  const match = rangeSpec.exec(text);
  if (match === null) return "malformed";
  if (match[3] !== undefined) {
    // A suffix longer than the representation means all of it (§14.1.2).
    const length = Math.min(Number(match[3]), size);
    return length === 0 ? "unsatisfiable" : { offset: size - length, length };
  }
  const first = Number(match[1]);
  const last = match[2] === "" ? Number.POSITIVE_INFINITY : Number(match[2]);
  if (last < first) return "malformed";
  if (first >= size) return "unsatisfiable";
  return { offset: first, length: Math.min(last, size - 1) - first + 1 };
}

interface Span {
  offset: number;
  end: number;
  /** Place in the request. */
  order: number;
}

function merge(ranges: readonly ByteRange[]): readonly ByteRange[] {
  if (ranges.length === 1) return ranges;
  const spans: Span[] = ranges.map(({ offset, length }, order) => ({ offset, end: offset + length, order }));
  spans.sort((a, b) => a.offset - b.offset);
  const merged: Span[] = [];
  for (const span of spans) {
    const previous = merged.at(-1);
    if (previous === undefined || span.offset > previous.end + frameOverhead) {
      merged.push(span);
      continue;
    }
    previous.end = Math.max(previous.end, span.end);
    previous.order = Math.min(previous.order, span.order);
  }
  merged.sort((a, b) => a.order - b.order);
  return merged.map(({ offset, end }) => ({ offset, length: end - offset }));
}

/** The `content-range` of a 206 with this one range, or of a part: `bytes 0-99/500`. */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.offset}-${range.offset + range.length - 1}/${size}`;
}

/** The `content-range` of a 416 (RFC 9110 §15.5.17). */
export function unsatisfiedRange(size: number): string {
  return `bytes */${size}`;
}

/** The frame of a multipart/byteranges body: what to send between the ranges. */
export interface MultipartByteranges {
  /** Value of `content-type`, with the boundary. */
  readonly contentType: string;
  /** Exact length of the whole body in bytes, frame and ranges. */
  readonly length: number;
  /** For each range in order, the ASCII text to send before its bytes. */
  readonly heads: readonly string[];
  /** The ASCII text that closes the body. */
  readonly tail: string;
}

/**
 * Lays out a multipart/byteranges body (RFC 9110 §14.6).
 *
 * @param partType media type of the representation, repeated in each part; latin-1 text.
 * @param boundary 1 to 70 token characters that do not occur in the content: random ones.
 */
export function multipartByteranges(
  ranges: readonly ByteRange[],
  size: number,
  partType: string,
  boundary: string,
): MultipartByteranges {
  const heads = ranges.map((range, index) => {
    const opening = index === 0 ? `--${boundary}` : `\r\n--${boundary}`;
    return `${opening}\r\ncontent-type: ${partType}\r\ncontent-range: ${contentRange(range, size)}\r\n\r\n`;
  });
  const tail = `\r\n--${boundary}--\r\n`;
  let length = tail.length;
  for (const head of heads) length += head.length;
  for (const range of ranges) length += range.length;
  return { contentType: `multipart/byteranges; boundary=${boundary}`, length, heads, tail };
}
