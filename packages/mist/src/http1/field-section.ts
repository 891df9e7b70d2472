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

/** Fields whose meaning the core itself needs, and the bit that stands for each. */
export const HOST = 1;
export const EXPECT = 2;
export const UPGRADE = 4;
export const CONNECTION = 8;
export const CONTENT_LENGTH = 16;
export const TRANSFER_ENCODING = 32;

/** The answer of a scan that ran out of bytes. */
export const INCOMPLETE = -1;

/**
 * One pass over a field section. One instance per use, kept: `scan` continues at the first line it
 * has not finished, so a section that arrives in many packets is not scanned from its start again.
 */
export class SectionScan {
  /** Which of the core's own fields are there (bits above). */
  seen = 0;
  /** Lines found so far. */
  count = 0;
  /** Start of the line not finished yet, relative to the start of the section. */
  private line = 0;

  reset(): void {
    this.seen = 0;
    this.count = 0;
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
      this.seen |= ownField(bytes, line, nameEnd);
    }
  }

  private pauseAt(line: number): number {
    this.line = line;
    return INCOMPLETE;
  }
}

/** The bit of a field the core understands, or 0. Length first: most names fail there. */
function ownField(bytes: Buffer, start: number, end: number): number {
  switch (end - start) {
    case 4:
      return isName(bytes, start, "host") ? HOST : 0;
    case 6:
      return isName(bytes, start, "expect") ? EXPECT : 0;
    case 7:
      return isName(bytes, start, "upgrade") ? UPGRADE : 0;
    case 10:
      return isName(bytes, start, "connection") ? CONNECTION : 0;
    case 14:
      return isName(bytes, start, "content-length") ? CONTENT_LENGTH : 0;
    case 17:
      return isName(bytes, start, "transfer-encoding") ? TRANSFER_ENCODING : 0;
    default:
      return 0;
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
  readonly seen: number;
  private list: Fields | undefined;

  constructor(text: string, seen: number) {
    this.text = text;
    this.seen = seen;
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
