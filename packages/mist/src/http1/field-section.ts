// A field section: `*( field-line CRLF ) CRLF` (RFC 9112 §5), of a head or of trailers.
//
// The scan checks every byte once and remembers only where the fields lie that the core itself must
// understand; names and values become strings when somebody asks. Refuses obs-fold, whitespace
// before the colon, an empty name, bare CR, bare LF, NUL and other controls.

import { LimitError, ProtocolError } from "../errors.ts";
import {
  type Field,
  type Fields,
  getField,
  getFieldLines,
  lowerCaseName,
  NO_FIELDS,
} from "../http/fields.ts";
import { COLON, CR, FIELD_VALUE, LF, SP, TAB, TCHAR } from "./grammar.ts";

/** The fields whose meaning the core itself needs. */
export const HOST = 0;
export const EXPECT = 1;
export const UPGRADE = 2;
export const CONNECTION = 3;
export const CONTENT_LENGTH = 4;
export const TRANSFER_ENCODING = 5;
const NONE = -1;

/** Their names, as bytes: a byte is compared with a byte, four times as fast as with a string's character. */
const ownNames: readonly Buffer[] = [
  "host",
  "expect",
  "upgrade",
  "connection",
  "content-length",
  "transfer-encoding",
].map((name) => Buffer.from(name, "latin1"));

/** The core's own lines of one section, by field, each with its CR; `""` where there is none. */
export interface OwnLines {
  readonly seen: number;
  readonly repeated: number;
  readonly lines: readonly string[];
}

/** The answer of a scan that ran out of bytes. */
export const INCOMPLETE = -1;

/**
 * One pass over a field section. One instance per use, kept: `scan` continues at the first line it
 * has not finished, so a section that arrives in many packets is not scanned from its start again.
 */
export class SectionScan {
  /** Lines found so far. */
  count = 0;
  /** Which of the core's own fields are there, and which of them more than once: one bit each. */
  seen = 0;
  repeated = 0;
  /** Where the first line of each of the core's own fields starts, relative to the section. */
  readonly lineAt: number[] = [0, 0, 0, 0, 0, 0];
  /** Start of the line not finished yet, relative to the section. */
  #line = 0;

  reset(): void {
    this.count = 0;
    this.seen = 0;
    this.repeated = 0;
    this.#line = 0;
  }

  /**
   * Scan the section that starts at `start`, looking at no byte from `stop` on. Returns the position
   * behind its empty line, or `INCOMPLETE`. Throws `ProtocolError` (400), `LimitError` (431).
   */
  scan(bytes: Buffer, start: number, stop: number, maxFields: number): number {
    let i = start + this.#line;
    let { count } = this;
    const names = TCHAR;
    const values = FIELD_VALUE;
    for (;;) {
      const line = i;
      if (i >= stop) return this.#pauseAt(line - start, count);
      if (bytes[i] === CR) {
        if (i + 1 >= stop) return this.#pauseAt(line - start, count);
        if (bytes[i + 1] !== LF) throw malformed("bare CR in the field section", "RFC 9112 §2.2");
        this.count = count;
        return i + 2;
      }
      if (count++ === maxFields) throw tooManyFields(maxFields);

      while (i < stop && names[bytes[i] as number] === 1) i++;
      if (i >= stop) return this.#pauseAt(line - start, count - 1);
      if (bytes[i] !== COLON || i === line) throw badName(bytes[i] as number, i === line);
      const nameEnd = i++;

      while (i < stop && values[bytes[i] as number] === 1) i++;
      if (i + 1 >= stop) {
        if (i < stop && bytes[i] !== CR) throw badValue(bytes[i] as number);
        return this.#pauseAt(line - start, count - 1);
      }
      if (bytes[i] !== CR) throw badValue(bytes[i] as number);
      if (bytes[i + 1] !== LF) throw malformed("bare CR in a field line", "RFC 9112 §2.2");
      i += 2;
      const own = ownField(bytes, line, nameEnd);
      if (own !== NONE) this.#remember(own, line - start);
    }
  }

  #remember(own: number, at: number): void {
    const bit = 1 << own;
    if ((this.seen & bit) !== 0) this.repeated |= bit;
    else this.lineAt[own] = at;
    this.seen |= bit;
  }

  has(own: number): boolean {
    return (this.seen & (1 << own)) !== 0;
  }

  hasSeveral(own: number): boolean {
    return (this.repeated & (1 << own)) !== 0;
  }

  /** The core's own lines in the scanned section's text. */
  ownLines(text: string): OwnLines {
    const { seen, repeated } = this;
    const cut = (at: number) => text.slice(at, text.indexOf("\r", at) + 1);
    return { seen, repeated, lines: this.lineAt.map((at, own) => (this.has(own) ? cut(at) : "")) };
  }

  /** Are the core's own lines the same ones as in another section, each there once at most? */
  hasSameOwnLines(text: string, other: OwnLines): boolean {
    if (this.seen !== other.seen || this.repeated !== 0 || other.repeated !== 0) return false;
    for (let own = 0, left = this.seen; left !== 0; own++, left >>= 1) {
      if ((left & 1) !== 0 && !text.startsWith(other.lines[own] as string, this.lineAt[own])) return false;
    }
    return true;
  }

  /** The value of the first line of one of the core's own fields, out of the scanned section's text. */
  value(own: number, text: string): string {
    const start = (this.lineAt[own] as number) + (ownNames[own] as Buffer).length + 1;
    return fieldText(text, start, text.indexOf("\r", start));
  }

  #pauseAt(line: number, count: number): number {
    this.#line = line;
    this.count = count;
    return INCOMPLETE;
  }
}

// Length and first letter of a name tell almost every other name from the core's own.
const HOST_KEY = (4 << 8) | 0x68;
const EXPECT_KEY = (6 << 8) | 0x65;
const UPGRADE_KEY = (7 << 8) | 0x75;
const CONNECTION_KEY = (10 << 8) | 0x63;
const CONTENT_LENGTH_KEY = (14 << 8) | 0x63;
const TRANSFER_ENCODING_KEY = (17 << 8) | 0x74;

/** Which of the core's own fields a name is, or `NONE`. */
function ownField(bytes: Buffer, start: number, end: number): number {
  switch (((end - start) << 8) | ((bytes[start] as number) | 0x20)) {
    case HOST_KEY:
      return isName(bytes, start, HOST);
    case EXPECT_KEY:
      return isName(bytes, start, EXPECT);
    case UPGRADE_KEY:
      return isName(bytes, start, UPGRADE);
    case CONNECTION_KEY:
      return isName(bytes, start, CONNECTION);
    case CONTENT_LENGTH_KEY:
      return isName(bytes, start, CONTENT_LENGTH);
    case TRANSFER_ENCODING_KEY:
      return isName(bytes, start, TRANSFER_ENCODING);
    default:
      return NONE;
  }
}

/** Case-insensitive. Setting bit 0x20 folds letters, and maps no other tchar onto a letter. */
function isName(bytes: Buffer, start: number, own: number): number {
  const name = ownNames[own] as Buffer;
  for (let i = 0; i < name.length; i++) {
    if (((bytes[start + i] as number) | 0x20) !== name[i]) return NONE;
  }
  return own;
}

/**
 * A scanned section. Strings are made on demand: the text is valid by then, so that cutting it up
 * needs no checks.
 */
export class FieldSection {
  /** The whole section as latin-1, its empty line included. */
  readonly text: string;
  #list: Fields | undefined = undefined;

  constructor(text: string) {
    this.text = text;
  }

  get fields(): Fields {
    this.#list ??= splitFields(this.text);
    return this.#list;
  }

  get(name: string): string | undefined {
    return getField(this.fields, name);
  }

  getAll(name: string): string[] {
    return getFieldLines(this.fields, name);
  }
}

/** Cut a valid section into its fields. Frozen, because requests with the same section share the list. */
function splitFields(text: string): Fields {
  const fields: Field[] = [];
  for (let line = 0; text.charCodeAt(line) !== CR; ) {
    const colon = text.indexOf(":", line);
    const end = text.indexOf("\r", colon);
    fields.push([lowerCaseName(text.slice(line, colon)), fieldText(text, colon + 1, end)]);
    line = end + 2;
  }
  return fields.length === 0 ? NO_FIELDS : Object.freeze(fields);
}

/** The value without the whitespace around it (RFC 9112 §5.1). */
function fieldText(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isWhitespace(code: number): boolean {
  return code === SP || code === TAB;
}

function badName(byte: number, atStart: boolean): ProtocolError {
  if (byte === SP || byte === TAB) {
    return atStart
      ? malformed("a field line starts with whitespace (obs-fold)", "RFC 9112 §5.2")
      : malformed("whitespace between field name and colon", "RFC 9112 §5.1");
  }
  if (atStart && byte === COLON) return malformed("a field name is empty", "RFC 9112 §5");
  if (byte === LF) return malformed("bare LF in the field section", "RFC 9112 §2.2");
  return malformed("a field name contains a character that is not allowed in a token", "RFC 9110 §5.1");
}

function badValue(byte: number): ProtocolError {
  if (byte === LF) return malformed("a field line ends with a bare LF", "RFC 9112 §2.2");
  return malformed("a field value contains a control character", "RFC 9110 §5.5");
}

function malformed(message: string, section: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section });
}

function tooManyFields(max: number): LimitError {
  return new LimitError(`more than ${max} field lines`, {
    status: 431,
    section: "RFC 6585 §5",
    limit: "maxFields",
    max,
  });
}
