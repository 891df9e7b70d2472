// What a received field means to the core, and whether it may stand in a message at all (RFC 9113 §8.2, §8.3). Found
// out once per table entry.

import { isFieldValue, isToken } from "../../http/fields.ts";

/** A field that only the application reads. */
export const PLAIN = 0;
export const COOKIE = 1;
export const HOST = 2;
export const CONTENT_LENGTH = 3;
export const EXPECT = 4;
export const PRIORITY = 5;
/** Pseudo-fields; nothing below is one. */
export const METHOD = 8;
export const SCHEME = 9;
export const PATH = 10;
export const AUTHORITY = 11;
export const PROTOCOL = 12;
/** Malformed, for the reason at `kind - MALFORMED`. */
export const MALFORMED = 16;

interface Reason {
  readonly message: string;
  readonly section: string;
}

const BAD_NAME = 0;
const BAD_VALUE = 1;
const BAD_PSEUDO_NAME = 2;
const BAD_PSEUDO_VALUE = 3;
const CONNECTION_SPECIFIC = 4;
const BAD_TE = 5;

const REASONS: readonly Reason[] = [
  { message: "a field name is not a token in lower case", section: "RFC 9113 §8.2.1" },
  { message: "a field value has a control character, or whitespace around it", section: "RFC 9113 §8.2.1" },
  { message: "a pseudo-field does not belong in a request", section: "RFC 9113 §8.3" },
  { message: "a pseudo-field has a value of the wrong form", section: "RFC 9113 §8.3.1" },
  { message: "a field speaks about the connection", section: "RFC 9113 §8.2.2" },
  { message: "te says more than trailers", section: "RFC 9113 §8.2.2" },
];

/** Why a field of that kind is malformed. */
export function malformedReason(kind: number): Reason {
  return REASONS[kind - MALFORMED] as Reason;
}

const UPPER = /[A-Z]/;
/** scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) (RFC 3986 §3.1) */
const SCHEME_TEXT = /^[A-Za-z][A-Za-z0-9+.-]*$/;
/** A path with a query, as the HTTP/1 core takes it (`http1/grammar.ts`): RFC 3986, and a query with any "%". */
const PATH_TEXT =
  /^(?:\/(?:[\w\-.~:/[\]@!$&'()*+,;=]|%[\dA-Fa-f]{2})*(?:\?[\w\-.~:/?[\]@!$&'()*+,;=%]*)?|\*)$/;

const KINDS: ReadonlyMap<string, number> = new Map([
  ["cookie", COOKIE],
  ["host", HOST],
  ["content-length", CONTENT_LENGTH],
  ["expect", EXPECT],
  ["priority", PRIORITY],
  ["connection", MALFORMED + CONNECTION_SPECIFIC],
  ["keep-alive", MALFORMED + CONNECTION_SPECIFIC],
  ["proxy-connection", MALFORMED + CONNECTION_SPECIFIC],
  ["transfer-encoding", MALFORMED + CONNECTION_SPECIFIC],
  ["upgrade", MALFORMED + CONNECTION_SPECIFIC],
]);

/** The kind of a field in a request. */
export function fieldKind(name: string, value: string): number {
  if (name.charCodeAt(0) === 0x3a /* : */) return pseudoKind(name, value);
  if (!isToken(name) || UPPER.test(name)) return MALFORMED + BAD_NAME;
  if (!isFieldValue(value) || isPadded(value)) return MALFORMED + BAD_VALUE;
  if (name === "te") return value.toLowerCase() === "trailers" ? PLAIN : MALFORMED + BAD_TE;
  return KINDS.get(name) ?? PLAIN;
}

/** A field this server must not send: it would speak about the connection (RFC 9113 §8.2.2). */
export function isConnectionSpecific(name: string): boolean {
  return KINDS.get(name) === MALFORMED + CONNECTION_SPECIFIC;
}

function pseudoKind(name: string, value: string): number {
  switch (name) {
    case ":method":
      return isToken(value) ? METHOD : MALFORMED + BAD_PSEUDO_VALUE;
    case ":scheme":
      return SCHEME_TEXT.test(value) ? SCHEME : MALFORMED + BAD_PSEUDO_VALUE;
    case ":path":
      return PATH_TEXT.test(value) ? PATH : MALFORMED + BAD_PSEUDO_VALUE;
    case ":authority":
      // Its form is checked when it is parsed: it may be empty, and a Host may stand in for it.
      return isFieldValue(value) ? AUTHORITY : MALFORMED + BAD_PSEUDO_VALUE;
    case ":protocol":
      return isToken(value) ? PROTOCOL : MALFORMED + BAD_PSEUDO_VALUE;
    default:
      return MALFORMED + BAD_PSEUDO_NAME;
  }
}

function isPadded(value: string): boolean {
  return value !== "" && (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(value.length - 1)));
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
