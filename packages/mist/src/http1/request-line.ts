// The request line: `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3).
//
// One pass over the bytes. Separators are exactly one SP, the line ends with CRLF, a method is any
// token. Refuses a target that is too long before the line ends, so that a peer cannot make us wait
// for (and hold) the rest.

import { LimitError, ProtocolError } from "../errors.ts";
import { type Authority, parseAuthority } from "../http/authority.ts";
import { readMethod } from "../http/method.ts";
import { CR, HEX, LF, PATH, PERCENT, QUESTION, SP, TARGET, TCHAR } from "./grammar.ts";
import type { HttpVersion, TargetForm } from "./request-head.ts";

/** Longer than any method; bounds what the first word can cost. */
const MAX_METHOD = 128;

const INCOMPLETE = -1;

/** Above this length, making a string is faster than comparing. */
const MAX_COMPARED = 128;

/** Scans request lines; one instance per connection, its properties hold the last line scanned. */
export class RequestLine {
  method = "";
  version: HttpVersion = "1.1";
  target = "";
  form: TargetForm = "origin";
  /** Where the path starts in the target; -1: an absolute target without one. */
  pathAt = 0;
  /** Where the first "?" stands in the target; -1: none. */
  queryAt = -1;
  authority: Authority | undefined = undefined;
  readonly #maxTarget: number;

  constructor(maxTarget: number) {
    this.#maxTarget = maxTarget;
  }

  /**
   * Scan the line that starts at `start`, looking at no byte from `stop` on. Returns the position
   * behind it or -1 when it is not complete. Throws 400, 414, 505.
   */
  scan(bytes: Buffer, start: number, stop: number): number {
    this.method = "";
    let i = start;
    const tchar = TCHAR;
    while (i < stop && tchar[bytes[i] as number] === 1) i++;
    if (i - start > MAX_METHOD) throw methodTooLong();
    if (i >= stop) return INCOMPLETE;
    if (bytes[i] !== SP || i === start)
      throw malformed("the request line does not start with a method and a space");
    // Known from here on, whatever is wrong with the rest: the answer to a HEAD has no content.
    this.method = readMethod(bytes, start, i++);

    const targetAt = i;
    const limit = targetAt + this.#maxTarget;
    let queryAt = -1;
    const path = PATH;
    while (i < stop && path[bytes[i] as number] === 1) i++;
    while (i < stop && bytes[i] === PERCENT) {
      // RFC 3986 §2.1. A query is not looked at so closely: clients write "?q=100%", and nobody is led astray by it.
      const end = Math.min(i + 3, stop);
      while (++i < end) if (HEX[bytes[i] as number] !== 1) throw badEncoding();
      while (i < stop && path[bytes[i] as number] === 1) i++;
    }
    if (i < stop && bytes[i] === QUESTION) {
      queryAt = i - targetAt;
      const target = TARGET;
      while (i < stop && target[bytes[i] as number] === 1) i++;
    }
    if (i > limit) throw targetTooLong(this.#maxTarget);
    if (i >= stop) return INCOMPLETE;
    if (bytes[i] !== SP || i === targetAt) throw badTarget(bytes[i] as number, i === targetAt);
    const targetEnd = i++;

    const minor = scanVersion(bytes, i, stop);
    if (minor === INCOMPLETE) return INCOMPLETE;
    this.version = minor === 1 ? "1.1" : "1.0";
    if (!spells(this.target, bytes, targetAt, targetEnd))
      this.target = bytes.toString("latin1", targetAt, targetEnd);
    this.queryAt = queryAt;
    this.#classifyTarget();
    return i + 10;
  }

  /** The four forms of RFC 9112 §3.2. */
  #classifyTarget(): void {
    const { target, method } = this;
    this.pathAt = 0;
    this.authority = undefined;
    if (method === "CONNECT") this.#classifyConnect();
    else if (target.charCodeAt(0) === 0x2f) this.form = "origin";
    else if (target === "*") this.#classifyAsterisk();
    else this.#classifyAbsolute();
  }

  /** `CONNECT host:port`: well formed it is answered with 501 once its head is there. */
  #classifyConnect(): void {
    const authority = parseAuthority(this.target);
    if (authority === undefined || authority.port === undefined) {
      throw malformed("the target of CONNECT is not a host and a port", "RFC 9112 §3.2.3");
    }
    this.form = "authority";
    this.authority = authority;
  }

  #classifyAsterisk(): void {
    if (this.method !== "OPTIONS") throw malformed("only OPTIONS may have the target *", "RFC 9112 §3.2.4");
    this.form = "asterisk";
  }

  #classifyAbsolute(): void {
    const match = /^https?:\/\/([^/?]*)/i.exec(this.target);
    if (match === null) throw malformed("the request target has none of the four forms", "RFC 9112 §3.2");
    const authority = parseAuthority(match[1] as string);
    if (authority === undefined)
      throw malformed("the authority of the request target is invalid", "RFC 9110 §4.2");
    this.form = "absolute";
    this.authority = authority;
    const end = match[0].length;
    this.pathAt = this.target.charCodeAt(end) === 0x2f ? end : -1;
  }
}

/** Whether these bytes are that text. Clients repeat themselves, and a string need not be made again. */
export function spells(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (end - start !== text.length || text.length > MAX_COMPARED) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}

/** `HTTP-version CRLF` at `at`: the minor version, or -1. Only 1.0 and 1.1 are spoken here. */
function scanVersion(bytes: Buffer, at: number, stop: number): number {
  if (
    stop - at >= 10 &&
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === 0x2f &&
    bytes[at + 5] === 0x31 &&
    bytes[at + 6] === 0x2e &&
    bytes[at + 8] === CR &&
    bytes[at + 9] === LF
  ) {
    if (bytes[at + 7] === 0x31) return 1;
    if (bytes[at + 7] === 0x30) return 0;
  }
  return refuseVersion(bytes, at, stop);
}

/** `D` stands for a digit: HTTP-version = %s"HTTP" "/" DIGIT "." DIGIT. */
const versionLine = "HTTP/D.D\r\n";

/** The slow way: incomplete, no version at all (400), or one we do not speak (505). */
function refuseVersion(bytes: Buffer, at: number, stop: number): number {
  for (let i = 0; i < versionLine.length; i++) {
    if (at + i >= stop) return INCOMPLETE;
    const byte = bytes[at + i] as number;
    const digit = byte >= 0x30 && byte <= 0x39;
    if (versionLine[i] === "D" ? !digit : byte !== versionLine.charCodeAt(i)) {
      throw malformed("the request line does not end with a space, an HTTP version and CRLF");
    }
  }
  throw new ProtocolError("this server speaks HTTP/1.1 and HTTP/1.0", {
    status: 505,
    section: "RFC 9110 §15.6.6",
  });
}

function badTarget(byte: number, empty: boolean): ProtocolError {
  if (empty) return malformed("the request target is empty");
  if (byte === CR || byte === LF) return malformed("the request line has no HTTP version");
  return malformed("the request target contains a character that must be percent-encoded", "RFC 9112 §3.2");
}

function badEncoding(): ProtocolError {
  return malformed('the path contains a "%" without two hexadecimal digits behind it', "RFC 3986 §2.1");
}

function malformed(message: string, section = "RFC 9112 §3"): ProtocolError {
  return new ProtocolError(message, { status: 400, section });
}

function methodTooLong(): ProtocolError {
  return new LimitError(`the method is longer than ${MAX_METHOD} bytes`, {
    status: 400,
    section: "RFC 9112 §3",
    limit: "method",
    max: MAX_METHOD,
  });
}

function targetTooLong(max: number): LimitError {
  return new LimitError(`the request target is longer than ${max} bytes`, {
    status: 414,
    section: "RFC 9112 §3",
    limit: "maxTarget",
    max,
  });
}
