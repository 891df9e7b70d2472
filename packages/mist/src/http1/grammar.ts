/**
 * The byte classes of RFC 9112 and RFC 9110, as one table: a byte's class word is one load away, so
 * a head is checked in the same pass that finds its parts.
 *
 * Strict on purpose. What this table leaves out (bare CR, NUL, DEL, bytes above 0x7f in a name or a
 * target) is what two parsers in a row read differently.
 */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DQUOTE = 0x22;
export const HASH = 0x23;
export const ASTERISK = 0x2a;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUESTION = 0x3f;
export const BACKSLASH = 0x5c;

/** tchar (RFC 9110 §5.6.2): method, field name, chunk extension name. */
export const TCHAR = 1;
/** field-vchar / SP / HTAB, where field-vchar = VCHAR / obs-text (RFC 9110 §5.5). */
export const FIELD_VALUE = 2;
/**
 * What a request target may hold: VCHAR without "#" (a fragment is never sent, RFC 9110 §7.1).
 * Wider than RFC 3986: browsers send `|`, `{`, `^` and the like unencoded in queries.
 */
export const TARGET = 4;
/** TARGET without "?". */
export const PATH = 32;
/** HEXDIG. */
export const HEX = 8;
/** qdtext (RFC 9110 §5.6.4). */
export const QDTEXT = 16;

/** Class word of every byte value. */
export const CLASS: Uint8Array = byteClasses();

function byteClasses(): Uint8Array {
  const classes = new Uint8Array(256);
  const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (let byte = 0; byte < 256; byte++) {
    const vchar = byte > SP && byte < 0x7f;
    const text = vchar || byte === SP || byte === TAB || byte > 0x7f;
    let word = 0;
    if (vchar && tchar.includes(String.fromCharCode(byte))) word |= TCHAR;
    if (text) word |= FIELD_VALUE;
    if (vchar && byte !== HASH) word |= byte === QUESTION ? TARGET : TARGET | PATH;
    if (vchar && /[0-9A-Fa-f]/.test(String.fromCharCode(byte))) word |= HEX;
    if (text && byte !== DQUOTE && byte !== BACKSLASH) word |= QDTEXT;
    classes[byte] = word;
  }
  return classes;
}

/** The value of a HEXDIG byte. */
export function hexValue(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
}
