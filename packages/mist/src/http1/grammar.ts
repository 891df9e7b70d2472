// The byte classes of RFC 9112 and RFC 9110, as tables that hold 1 for the bytes in the class: a head
// is checked in the same pass that finds its parts. Hot loops take a table into a local first, as an
// imported binding is read again on every use.
//
// Strict on purpose: what these tables leave out (bare CR, NUL, DEL, bytes above 0x7f in a name or a
// target) is read differently by different parsers.

import { isToken } from "../http/token.ts";

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DQUOTE = 0x22;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const PERCENT = 0x25;
export const QUESTION = 0x3f;
export const BACKSLASH = 0x5c;

/** tchar (RFC 9110 §5.6.2): method, field name, chunk extension name. */
export const TCHAR: Uint8Array = byteSet((byte) => isToken(String.fromCharCode(byte)));
/** field-vchar / SP / HTAB, where field-vchar = VCHAR / obs-text (RFC 9110 §5.5). */
export const FIELD_VALUE: Uint8Array = byteSet(isText);
/**
 * What a request target may hold: the characters of RFC 3986 without "#" (a fragment is never sent, RFC 9110 §7.1).
 * Not `"`, `<`, `>`, `\`, `^`, `` ` ``, `{`, `|` and `}`: some parsers take a backslash for a slash, and a target
 * that two parsers read differently is a way around the checks of the first.
 */
export const TARGET: Uint8Array = byteSet((byte) =>
  /[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%]/.test(String.fromCharCode(byte)),
);
/** TARGET without "?", which begins the query, and "%", which needs two digits behind it. */
export const PATH: Uint8Array = byteSet(
  (byte) => TARGET[byte] === 1 && byte !== QUESTION && byte !== PERCENT,
);
/** HEXDIG. */
export const HEX: Uint8Array = byteSet((byte) => /[0-9A-Fa-f]/.test(String.fromCharCode(byte)));
/** qdtext (RFC 9110 §5.6.4). */
export const QDTEXT: Uint8Array = byteSet((byte) => isText(byte) && byte !== DQUOTE && byte !== BACKSLASH);

function isText(byte: number): boolean {
  return byte === TAB || (byte >= SP && byte !== 0x7f);
}

function byteSet(has: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (has(byte) ? 1 : 0));
}

/** The value of a HEXDIG byte. */
export function hexValue(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57;
}
