/**
 * A field section: `*( field-line CRLF ) CRLF` (RFC 9112 §5), of a head or of trailers.
 *
 * The scan checks every byte once and remembers only where the fields lie that the core itself must
 * understand; names and values become strings when somebody asks. Refuses obs-fold, whitespace
 * before the colon, an empty name, bare CR, bare LF, NUL and other controls.
 */

import { LimitError, ProtocolError } from "../errors.ts";
import {
  type Field,
  type Fields,
  getField,
  getFieldLines,
  lowerCaseName,
  NO_FIELDS,
} from "../http/fields.ts";
import { CLASS, COLON, CR, FIELD_VALUE, LF, SP, TAB, TCHAR } from "./grammar.ts";

/** The fields whose meaning the core itself needs. */
export const HOST = 0;
export const EXPECT = 1;
export const UPGRADE = 2;
export const CONNECTION = 3;
export const CONTENT_LENGTH = 4;
export const TRANSFER_ENCODING = 5;
const NONE = -1;

const OWN_NAMES = ["host", "expect", "upgrade", "connection", "content-length", "transfer-encoding"] as const;

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
  private line = 0;

  reset(): void {
    this.count = 0;
    this.seen = 0;
    this.repeated = 0;
    this.line = 0;
  }

  /**
   * Scan the section that starts at `start`, looking at no byte from `stop` on. Returns the position
   * behind its empty line, or `INCOMPLETE`. Throws `ProtocolError` (400), `LimitError` (431).
   */
  scan(bytes: Buffer, start: number, stop: number, maxFields: number): number {
    let i = start + this.line;
    for (;;) {
      const line = i;
      if (i >= stop) return this.pauseAt(line - start);
      if (bytes[i] === CR) {
        if (i + 1 >= stop) return this.pauseAt(line - start);
        if (bytes[i + 1] !== LF) throw malformed("bare CR in the field section", "RFC 9112 §2.2");
        return i + 2;
      }
      if (this.count === maxFields) throw tooManyFields(maxFields);

      while (i < stop && ((CLASS[bytes[i] as number] as number) & TCHAR) !== 0) i++;
      if (i >= stop) return this.pauseAt(line - start);
      if (bytes[i] !== COLON || i === line) throw badName(bytes[i] as number, i === line);
      const nameEnd = i++;

      while (i < stop && ((CLASS[bytes[i] as number] as number) & FIELD_VALUE) !== 0) i++;
      if (i >= stop) return this.pauseAt(line - start);
      if (bytes[i] !== CR) throw badValue(bytes[i] as number);
      if (++i >= stop) return this.pauseAt(line - start);
      if (bytes[i] !== LF) throw malformed("bare CR in a field line", "RFC 9112 §2.2");
      i++;
      this.count++;
      const own = ownField(bytes, line, nameEnd);
      if (own !== NONE) this.remember(own, line - start);
    }
  }

  private remember(own: number, at: number): void {
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

  /** The value of the first line of one of the core's own fields, out of the scanned section's text. */
  value(own: number, text: string): string {
    const start = (this.lineAt[own] as number) + (OWN_NAMES[own] as string).length + 1;
    return fieldText(text, start, text.indexOf("\r", start));
  }

  private pauseAt(line: number): number {
    this.line = line;
    return INCOMPLETE;
  }
}

/** Which of the core's own fields a name is, or `NONE`. Length first: most names fail there. */
function ownField(bytes: Buffer, start: number, end: number): number {
  switch (end - start) {
    case 4:
      return isName(bytes, start, "host") ? HOST : NONE;
    case 6:
      return isName(bytes, start, "expect") ? EXPECT : NONE;
    case 7:
      return isName(bytes, start, "upgrade") ? UPGRADE : NONE;
    case 10:
      return isName(bytes, start, "connection") ? CONNECTION : NONE;
    case 14:
      return isName(bytes, start, "content-length") ? CONTENT_LENGTH : NONE;
    case 17:
      return isName(bytes, start, "transfer-encoding") ? TRANSFER_ENCODING : NONE;
    default:
      return NONE;
  }
}

/** Case-insensitive. Setting bit 0x20 folds letters, and maps no other tchar onto a letter. */
function isName(bytes: Buffer, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if (((bytes[start + i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/**
 * A scanned section. Strings are made on demand: the text is valid by then, so that cutting it up
 * needs no checks.
 */
export class FieldSection {
  /** The whole section as latin-1, its empty line included. */
  readonly text: string;
  private list: Fields | undefined = undefined;

  constructor(text: string) {
    this.text = text;
  }

  get fields(): Fields {
    this.list ??= splitFields(this.text);
    return this.list;
  }

  get(name: string): string | undefined {
    return getField(this.fields, name);
  }

  getAll(name: string): string[] {
    return getFieldLines(this.fields, name);
  }
}

/** Cut a valid section into its fields. */
function splitFields(text: string): Fields {
  const fields: Field[] = [];
  for (let line = 0; text.charCodeAt(line) !== CR; ) {
    const colon = text.indexOf(":", line);
    const end = text.indexOf("\r", colon);
    fields.push([lowerCaseName(text.slice(line, colon)), fieldText(text, colon + 1, end)]);
    line = end + 2;
  }
  return fields.length === 0 ? NO_FIELDS : fields;
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
  return malformed("a field name holds a character that is no tchar", "RFC 9110 §5.1");
}

function badValue(byte: number): ProtocolError {
  if (byte === LF) return malformed("a field line ends with a bare LF", "RFC 9112 §2.2");
  return malformed("a field value holds a control character", "RFC 9110 §5.5");
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
