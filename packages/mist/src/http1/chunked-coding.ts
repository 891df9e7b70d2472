/**
 * The chunked transfer coding (RFC 9112 §7.1): the decoder's line grammar as named states, and the
 * encoder's two lines beside it.
 *
 *   chunk     = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *   chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
 *
 * CRLF is CRLF: a decoder that takes a bare LF, or skips what it does not understand up to the next
 * LF, sees other chunks than the proxy in front of it. Extensions are checked, counted and dropped.
 */

import { LimitError, ProtocolError } from "../errors.ts";
import {
  BACKSLASH,
  CR,
  DQUOTE,
  EQUALS,
  FIELD_VALUE,
  HEX,
  hexValue,
  LF,
  QDTEXT,
  SEMICOLON,
  SP,
  TAB,
  TCHAR,
} from "./grammar.ts";

/** Digits of a chunk size, leading zeros included. 2^53-1 needs 14. */
const MAX_SIZE_DIGITS = 16;

// States of a chunk line, in the order of the grammar.
const SIZE = 0;
const BEFORE_EXTENSION = 1; // BWS, then ";"
const BEFORE_NAME = 2; // behind ";": BWS
const NAME = 3;
const AFTER_NAME = 4; // BWS, then "=" or ";"
const BEFORE_VALUE = 5; // behind "=": BWS
const TOKEN_VALUE = 6;
const QUOTED_VALUE = 7;
const QUOTED_PAIR = 8;
const AFTER_VALUE = 9;
const LINE_FEED = 10;

/** Reads chunk lines, byte by byte; stops anywhere and goes on there. */
export class ChunkLine {
  /** The size read so far; final once `scan` found the line's end. */
  size = 0;
  private state = SIZE;
  private digits = 0;
  /** Bytes of extensions seen in this message. */
  private extension = 0;
  private readonly maxExtension: number;

  constructor(maxExtension: number) {
    this.maxExtension = maxExtension;
  }

  /** Begin the next line of the same message. */
  next(): void {
    this.size = 0;
    this.digits = 0;
    this.state = SIZE;
  }

  /**
   * Scan from `at`; returns the position behind the line's CRLF, or -1 when all bytes up to `end`
   * were taken and the line is not complete. Throws 400.
   */
  scan(bytes: Buffer, at: number, end: number): number {
    let i = at;
    while (i < end) {
      const byte = bytes[i++] as number;
      if (this.state === SIZE && HEX[byte] === 1) this.digit(byte);
      else if (this.state === LINE_FEED) {
        if (byte !== LF) throw malformed("a chunk line does not end with CRLF");
        return i;
      } else this.state = this.after(byte);
    }
    return -1;
  }

  private digit(byte: number): void {
    this.size = this.size * 16 + hexValue(byte);
    if (++this.digits > MAX_SIZE_DIGITS || this.size > Number.MAX_SAFE_INTEGER) {
      throw malformed("a chunk size is too large");
    }
  }

  private after(byte: number): number {
    if (this.state !== SIZE && ++this.extension > this.maxExtension)
      throw extensionTooLong(this.maxExtension);
    switch (this.state) {
      case SIZE:
        return this.afterSize(byte);
      case BEFORE_EXTENSION:
        return isBws(byte) ? BEFORE_EXTENSION : byte === SEMICOLON ? BEFORE_NAME : wrong();
      case BEFORE_NAME:
        return isBws(byte) ? BEFORE_NAME : isTchar(byte) ? NAME : wrong();
      case NAME:
        return isTchar(byte)
          ? NAME
          : byte === EQUALS
            ? BEFORE_VALUE
            : isBws(byte)
              ? AFTER_NAME
              : afterPart(byte);
      case AFTER_NAME:
        return isBws(byte)
          ? AFTER_NAME
          : byte === EQUALS
            ? BEFORE_VALUE
            : byte === SEMICOLON
              ? BEFORE_NAME
              : wrong();
      case BEFORE_VALUE:
        return isBws(byte)
          ? BEFORE_VALUE
          : byte === DQUOTE
            ? QUOTED_VALUE
            : isTchar(byte)
              ? TOKEN_VALUE
              : wrong();
      case TOKEN_VALUE:
        return isTchar(byte) ? TOKEN_VALUE : afterPart(byte);
      case QUOTED_VALUE:
        return byte === DQUOTE
          ? AFTER_VALUE
          : byte === BACKSLASH
            ? QUOTED_PAIR
            : QDTEXT[byte] === 1
              ? QUOTED_VALUE
              : wrong();
      case QUOTED_PAIR:
        return FIELD_VALUE[byte] === 1 ? QUOTED_VALUE : wrong();
      default:
        return afterPart(byte);
    }
  }

  private afterSize(byte: number): number {
    if (this.digits === 0) throw malformed("a chunk has no size");
    return afterPart(byte);
  }
}

/** Behind a size, a name or a value: the line's end, or another extension. */
function afterPart(byte: number): number {
  if (byte === CR) return LINE_FEED;
  if (byte === SEMICOLON) return BEFORE_NAME;
  return isBws(byte) ? BEFORE_EXTENSION : wrong();
}

function isBws(byte: number): boolean {
  return byte === SP || byte === TAB;
}

function isTchar(byte: number): boolean {
  return TCHAR[byte] === 1;
}

function wrong(): never {
  throw malformed("a chunk line is malformed");
}

function malformed(message: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section: "RFC 9112 §7.1" });
}

function extensionTooLong(max: number): LimitError {
  return new LimitError(`more than ${max} bytes of chunk extensions`, {
    status: 400,
    section: "RFC 9112 §7.1.1",
    limit: "maxChunkExtension",
    max,
  });
}

/** The line before a chunk of `size` bytes; `size` is not 0, which would end the body. */
export function chunkPrefix(size: number): string {
  return `${size.toString(16)}\r\n`;
}

/** The line behind a chunk's data. */
export const CHUNK_SUFFIX = "\r\n";
/** The last chunk, before the trailer section. */
export const LAST_CHUNK = "0\r\n";
