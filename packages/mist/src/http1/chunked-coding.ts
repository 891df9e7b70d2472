// The chunked transfer coding (RFC 9112 §7.1): the decoder's line grammar as named states, and the
// encoder's two lines beside it.
//
//   chunk     = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//   chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
//
// CRLF is CRLF: a decoder that takes a bare LF, or skips what it does not understand up to the next
// LF, sees other chunks than the proxy in front of it. Extensions are checked, counted and dropped.

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
const WRONG = 0;
const SIZE = 1;
const BEFORE_EXTENSION = 2; // BWS, then ";"
const BEFORE_NAME = 3; // behind ";": BWS
const NAME = 4;
const AFTER_NAME = 5; // BWS, then "=" or ";"
const BEFORE_VALUE = 6; // behind "=": BWS
const TOKEN_VALUE = 7;
const QUOTED_VALUE = 8;
const QUOTED_PAIR = 9;
const AFTER_VALUE = 10;
const LINE_FEED = 11;

/** The next state by state and byte, behind the size's digits; what is not here is `WRONG`. */
const AFTER: Uint8Array = automaton([
  [SIZE, [CR], LINE_FEED],
  [SIZE, [SEMICOLON], BEFORE_NAME],
  [SIZE, [SP, TAB], BEFORE_EXTENSION],
  [BEFORE_EXTENSION, [SP, TAB], BEFORE_EXTENSION],
  [BEFORE_EXTENSION, [SEMICOLON], BEFORE_NAME],
  [BEFORE_NAME, [SP, TAB], BEFORE_NAME],
  [BEFORE_NAME, bytesIn(TCHAR), NAME],
  [NAME, bytesIn(TCHAR), NAME],
  [NAME, [EQUALS], BEFORE_VALUE],
  [NAME, [SEMICOLON], BEFORE_NAME],
  [NAME, [SP, TAB], AFTER_NAME],
  [NAME, [CR], LINE_FEED],
  [AFTER_NAME, [SP, TAB], AFTER_NAME],
  [AFTER_NAME, [EQUALS], BEFORE_VALUE],
  [AFTER_NAME, [SEMICOLON], BEFORE_NAME],
  [BEFORE_VALUE, [SP, TAB], BEFORE_VALUE],
  [BEFORE_VALUE, bytesIn(TCHAR), TOKEN_VALUE],
  [BEFORE_VALUE, [DQUOTE], QUOTED_VALUE],
  [TOKEN_VALUE, bytesIn(TCHAR), TOKEN_VALUE],
  [TOKEN_VALUE, [SEMICOLON], BEFORE_NAME],
  [TOKEN_VALUE, [SP, TAB], BEFORE_EXTENSION],
  [TOKEN_VALUE, [CR], LINE_FEED],
  [QUOTED_VALUE, bytesIn(QDTEXT), QUOTED_VALUE],
  [QUOTED_VALUE, [BACKSLASH], QUOTED_PAIR],
  [QUOTED_VALUE, [DQUOTE], AFTER_VALUE],
  [QUOTED_PAIR, bytesIn(FIELD_VALUE), QUOTED_VALUE],
  [AFTER_VALUE, [SEMICOLON], BEFORE_NAME],
  [AFTER_VALUE, [SP, TAB], BEFORE_EXTENSION],
  [AFTER_VALUE, [CR], LINE_FEED],
]);

function automaton(
  rows: readonly (readonly [state: number, bytes: readonly number[], next: number])[],
): Uint8Array {
  const table = new Uint8Array(LINE_FEED * 256).fill(WRONG);
  for (const [state, bytes, next] of rows) for (const byte of bytes) table[state * 256 + byte] = next;
  return table;
}

function bytesIn(set: Uint8Array): number[] {
  return Array.from(set.keys()).filter((byte) => set[byte] === 1);
}

/** Reads chunk lines, byte by byte; stops anywhere and goes on there. */
export class ChunkLine {
  /** The size read so far; final once `scan` found the line's end. */
  size = 0;
  #state = SIZE;
  #digits = 0;
  /** Bytes of extensions seen in this message. */
  #extension = 0;
  readonly #maxExtension: number;

  constructor(maxExtension: number) {
    this.#maxExtension = maxExtension;
  }

  /** Begin the next line of the same message. */
  next(): void {
    this.size = 0;
    this.#digits = 0;
    this.#state = SIZE;
  }

  /**
   * Scan from `at`; returns the position behind the line's CRLF, or -1 when all bytes up to `end`
   * were taken and the line is not complete. Throws 400.
   */
  scan(bytes: Buffer, at: number, end: number): number {
    let i = at;
    while (i < end) {
      const byte = bytes[i++] as number;
      if (this.#state === SIZE && HEX[byte] === 1) this.#digit(byte);
      else if (this.#state === LINE_FEED) {
        if (byte !== LF) throw malformed("a chunk line does not end with CRLF");
        return i;
      } else this.#state = this.#after(byte);
    }
    return -1;
  }

  #digit(byte: number): void {
    this.size = this.size * 16 + hexValue(byte);
    if (++this.#digits > MAX_SIZE_DIGITS || this.size > Number.MAX_SAFE_INTEGER) {
      throw malformed("a chunk size is too large");
    }
  }

  #after(byte: number): number {
    const state = this.#state;
    if (state === SIZE && this.#digits === 0) throw malformed("a chunk has no size");
    if (state !== SIZE && ++this.#extension > this.#maxExtension) throw extensionTooLong(this.#maxExtension);
    const next = AFTER[state * 256 + byte] as number;
    if (next === WRONG) throw malformed("a chunk line is malformed");
    return next;
  }
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
export const chunkSuffix = "\r\n";
/** The last chunk, before the trailer section. */
export const lastChunk = "0\r\n";
