// Fields (RFC 9110 §5): an ordered list of lower-case name and value, duplicates kept.
//
// Owns the rules for names and values we send, and reading values by name. Refuses a name that is
// no token and a value that could end its line (CR, LF, NUL, other controls) or that is no
// latin-1: such a value is response splitting waiting to happen.

import { shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import { isToken } from "./token.ts";

export { isToken };

/** One field line: lower-case name, value without surrounding whitespace. */
export type Field = readonly [name: string, value: string];

/** Field lines in the order of the message. */
export type Fields = readonly Field[];

/** Fields as they are given to a function: a list of lines, or values by name; a list of values makes several lines. */
export type FieldsOption = Fields | Readonly<Record<string, string | readonly string[] | undefined>>;

/** The empty list, shared. */
export const NO_FIELDS: Fields = Object.freeze([]);

// field-value = *( VCHAR / obs-text / SP / HTAB ) (RFC 9110 §5.5)
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const upperCase = /[A-Z]/;

/** May this text stand as a field value (RFC 9110 §5.5)? */
export function isFieldValue(text: string): boolean {
  return !notInValue.test(text);
}

/** The name as it is kept and sent: lower-case. Throws a `UsageError` when it is no token. */
export function fieldName(name: string): string {
  const known = knownFields.get(name);
  if (known !== undefined) return known.name;
  // field-name = token (RFC 9110 §5.1)
  if (typeof name !== "string" || !isToken(name)) {
    throw new UsageError(`a field name must be a token (RFC 9110 §5.1), got ${shown(name)}`);
  }
  return lowerCase(name);
}

/** The value as it is sent. Throws a `UsageError` when it holds CR, LF, NUL, another control or no latin-1. */
export function fieldValue(name: string, value: string): string {
  if (typeof value !== "string") {
    throw new UsageError(`the value of ${name} must be a string, got ${shown(value)}`);
  }
  if (notInValue.test(value)) {
    throw new UsageError(
      `the value of ${name} must not contain control characters or characters above U+00FF (RFC 9110 §5.5), got ${shown(value)}`,
    );
  }
  return value;
}

/** Checked field lines of what a caller gave. @throws UsageError for a name or value that cannot be sent. */
export function fieldLines(given: FieldsOption, what = "headers"): Fields {
  if (typeof given !== "object" || given === null) {
    throw new UsageError(`${what} must be an object or a list of [name, value], got ${shown(given)}`);
  }
  if (Array.isArray(given)) return (given as Fields).map(([name, value]) => field(name, value));
  const lines: Field[] = [];
  for (const [name, values] of Object.entries(given)) {
    if (values === undefined) continue;
    if (typeof values === "string") lines.push(field(name, values));
    else if (Array.isArray(values)) for (const value of values) lines.push(field(name, value));
    else fieldValue(name, values as never);
  }
  return lines;
}

/** A checked field, name in lower case. Throws a `UsageError`. */
export function field(name: string, value: string): Field {
  const known = knownFields.get(name);
  if (known === undefined) {
    const lower = fieldName(name);
    return [lower, fieldValue(lower, value)];
  }
  // Most responses say the same as the one before; what was good then is good now.
  if (known.value !== value) {
    fieldValue(known.name, value);
    if (value.length <= MAX_REMEMBERED_VALUE) known.value = value;
  }
  return [known.name, value];
}

/** Lower-case a name known to be a token; well-known names come from a table and allocate nothing. */
export function lowerCaseName(name: string): string {
  const known = knownFields.get(name);
  return known === undefined ? lowerCase(name) : known.name;
}

function lowerCase(name: string): string {
  return upperCase.test(name) ? name.toLowerCase() : name;
}

/**
 * The combined value of a field, or `undefined` when it is absent. Several lines are joined with
 * `", "` (RFC 9110 §5.3), those of `cookie` with `"; "` (RFC 6265 §5.4). `name` is lower-case.
 */
export function getField(fields: Fields, name: string): string | undefined {
  let value: string | undefined;
  for (let i = 0; i < fields.length; i++) {
    const line = fields[i] as Field;
    if (line[0] !== name) continue;
    if (value === undefined) value = line[1];
    else value = value + (name === "cookie" ? "; " : ", ") + line[1];
  }
  return value;
}

/** The value of the first line of a field, or `undefined`. `name` is lower-case. */
export function firstFieldLine(fields: Fields, name: string): string | undefined {
  for (const line of fields) if (line[0] === name) return line[1];
  return undefined;
}

/** Every line's value of a field, in order. `name` is lower-case. */
export function getFieldLines(fields: Fields, name: string): string[] {
  const values: string[] = [];
  for (const line of fields) if (line[0] === name) values.push(line[1]);
  return values;
}

/** The members of a comma-separated list of tokens, in lower case, empty ones left out (RFC 9110 §5.6.1). */
export function listTokens(value: string): string[] {
  const tokens: string[] = [];
  for (const member of value.split(",")) {
    const token = trimWhitespace(member).toLowerCase();
    if (token !== "") tokens.push(token);
  }
  return tokens;
}

/** Strip OWS (SP and HTAB only, RFC 9110 §5.6.3): `String.trim` would take more. */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A well-known name. */
interface KnownName {
  readonly name: string;
  /** The value checked last. */
  value: string;
}

const MAX_REMEMBERED_VALUE = 256;

/** Well-known names in the two spellings seen on the wire (`User-Agent`, `user-agent`). */
const knownFields: ReadonlyMap<string, KnownName> = knownNames(
  `accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
  access-control-allow-headers access-control-allow-methods access-control-allow-origin
  access-control-expose-headers access-control-max-age access-control-request-headers
  access-control-request-method age allow alt-svc authorization cache-control connection
  content-disposition content-encoding content-language content-length content-location content-range
  content-security-policy content-type cookie date dnt etag expect expires forwarded from host
  if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-event-id
  last-modified link location max-forwards origin pragma priority proxy-authenticate
  proxy-authorization proxy-connection range referer referrer-policy refresh retry-after
  sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site
  sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key
  sec-websocket-protocol sec-websocket-version server server-timing set-cookie
  strict-transport-security te trailer transfer-encoding upgrade upgrade-insecure-requests
  user-agent vary via www-authenticate x-content-type-options x-forwarded-for x-forwarded-host
  x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id x-requested-with`,
);

function knownNames(text: string): Map<string, KnownName> {
  const names = new Map<string, KnownName>();
  const add = (spelling: string) => names.set(spelling, { name: spelling.toLowerCase(), value: "" });
  for (const name of text.split(/\s+/)) {
    add(name);
    add(name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase()));
  }
  for (const spelling of ["ETag", "DNT", "TE", "WWW-Authenticate"]) add(spelling);
  return names;
}
