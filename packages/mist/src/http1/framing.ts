// How long a request body is (RFC 9112 §6.3).
//
// There is no body, one of a known number of bytes, or a chunked one. Whatever two parsers could read
// differently is refused, and the connection is closed: Transfer-Encoding beside Content-Length,
// several lengths even when they agree, a length that is not a plain number, any list of codings but
// the one word `chunked`, Transfer-Encoding in HTTP/1.0. Those are the known forms of request
// smuggling.

import { ProtocolError } from "../errors.ts";
import { parseContentLength } from "../http/content-length.ts";
import { isToken, trimWhitespace } from "../http/fields.ts";

/** The body of a request: none, that many bytes, or chunked. */
export type Framing = "none" | "chunked" | { readonly length: number };

/** What a field section says about framing. */
export interface FramingFields {
  /** Every line of Transfer-Encoding; `undefined` when there is none. */
  readonly transferEncoding: readonly string[] | undefined;
  /** The value of Content-Length; `undefined` when there is none. */
  readonly contentLength: string | undefined;
  /** Content-Length stands on several lines. */
  readonly severalLengths: boolean;
}

/** Decide, or throw a `ProtocolError` (400, 501). `http10`: the request is HTTP/1.0. */
export function requestFraming(fields: FramingFields, http10: boolean): Framing {
  const { transferEncoding, contentLength } = fields;
  if (transferEncoding !== undefined) {
    if (http10) throw refused("Transfer-Encoding in HTTP/1.0", "RFC 9112 §6.1");
    if (contentLength !== undefined) {
      throw refused("Transfer-Encoding and Content-Length together", "RFC 9112 §6.3");
    }
    checkCodings(transferEncoding);
    return "chunked";
  }
  if (contentLength === undefined) return "none";
  if (fields.severalLengths) throw refused("several Content-Length fields", "RFC 9112 §6.3");
  const length = parseContentLength(contentLength);
  if (length === undefined) throw refused("Content-Length is not a single decimal number", "RFC 9110 §8.6");
  return length === 0 ? "none" : { length };
}

/** The one acceptable list is `chunked`; the others differ in what they are told. */
function checkCodings(values: readonly string[]): void {
  if (values.length === 1 && isChunked(values[0] as string)) return;
  const codings = values.join(",").split(",").map(trimWhitespace);
  const last = codings.length - 1;
  for (let i = 0; i <= last; i++) {
    const coding = codings[i] as string;
    const name = trimWhitespace(coding.split(";", 1)[0] as string);
    if (!isToken(name)) throw refused("Transfer-Encoding is not a list of codings", "RFC 9112 §6.1");
    // Once, last, and without parameters: anywhere else the end of the message is anyone's guess.
    if (isChunked(name) && (i < last || coding !== name)) {
      throw refused("chunked is not the final coding, or has parameters", "RFC 9112 §6.3");
    }
  }
  throw new ProtocolError("a transfer coding is not implemented", { status: 501, section: "RFC 9112 §6.1" });
}

function isChunked(coding: string): boolean {
  return coding.length === 7 && coding.toLowerCase() === "chunked";
}

function refused(message: string, section: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section });
}
