// From bytes to a request head: request line, field section, then the rules that need both
// (Host, framing, persistence, expectation, upgrade).
//
// A client repeats its fields from request to request. So the last section is kept, with all that
// was learned from it, and a head whose section is the same bytes is compared instead of parsed.

import { LimitError, ProtocolError } from "../errors.ts";
import type { Authority } from "../http/authority.ts";
import type { ReceiveBuffer } from "../http/receive-buffer.ts";
import { FieldSection, INCOMPLETE, SectionScan } from "./field-section.ts";
import { CR, LF } from "./grammar.ts";
import { HeadFacts, noHost, unusableHost } from "./head-facts.ts";
import type { Http1Limits } from "./limits.ts";
import { persists } from "./persistence.ts";
import { RequestHead } from "./request-head.ts";
import { RequestLine, spells } from "./request-line.ts";

/** Longer sections are not kept between requests: an idle connection should hold little. */
const MAX_KEPT_SECTION = 4096;

const noSection = new FieldSection("");

export class HeadReader {
  readonly #limits: Http1Limits;
  readonly #line: RequestLine;
  readonly #scan = new SectionScan();
  /** Where the field section starts, relative to the head; 0 while the request line is unfinished. */
  #sectionAt = 0;
  #emptyLines = 0;
  /** The section read last, and what it says: kept, because the next one mostly says the same. */
  #section = noSection;
  #facts: HeadFacts | undefined = undefined;

  constructor(limits: Http1Limits) {
    this.#limits = limits;
    this.#line = new RequestLine(limits.maxTarget);
  }

  /** Was the request line of the head read last a HEAD request? Its answer has no body, even a 400. */
  get isHead(): boolean {
    return this.#line.method === "HEAD";
  }

  /** Read one head and consume it; `undefined` when it is not complete. Throws `ProtocolError`. */
  read(buffer: ReceiveBuffer): RequestHead | undefined {
    if (this.#sectionAt === 0 && !this.#readLine(buffer)) return undefined;
    if (!this.#readSection(buffer)) return undefined;
    const head = this.#assemble(this.#section, this.#facts as HeadFacts);
    if (this.#section.text.length > MAX_KEPT_SECTION) this.#forget();
    return head;
  }

  /** Are the bytes left no more than the beginning of an empty line? */
  onlyEmptyLines(buffer: ReceiveBuffer): boolean {
    return this.#sectionAt === 0 && buffer.length === 1 && buffer.bytes[buffer.start] === CR;
  }

  #readLine(buffer: ReceiveBuffer): boolean {
    // A fault before the method has nothing to do with the request before.
    this.#line.method = "";
    if (buffer.bytes[buffer.start] === CR && !this.#skipEmptyLines(buffer)) return false;
    if (buffer.length === 0) return false;
    const stop = this.#stop(buffer);
    const end = this.#line.scan(buffer.bytes, buffer.start, stop);
    if (end === INCOMPLETE) return this.#incomplete(buffer, stop);
    this.#sectionAt = end - buffer.start;
    this.#scan.reset();
    return true;
  }

  /** RFC 9112 §2.2: a server should ignore at least one CRLF before a request line. */
  #skipEmptyLines(buffer: ReceiveBuffer): boolean {
    while (buffer.length > 0 && buffer.bytes[buffer.start] === CR) {
      if (buffer.length === 1) return false;
      if (buffer.bytes[buffer.start + 1] !== LF || ++this.#emptyLines > this.#limits.maxEmptyLines) {
        throw new ProtocolError("too many empty lines, or a bare CR, before the request line", {
          status: 400,
          section: "RFC 9112 §2.2",
        });
      }
      buffer.consumeTo(buffer.start + 2);
    }
    return true;
  }

  /** Read the field section into `section` and `facts`; false when it is not complete. */
  #readSection(buffer: ReceiveBuffer): boolean {
    const { bytes } = buffer;
    const start = buffer.start + this.#sectionAt;
    const stop = this.#stop(buffer);
    const before = this.#section.text;
    const guess = sameLength(before, bytes, start, stop);
    if (guess === before && guess !== "") {
      this.#finish(buffer, start + guess.length);
      return true;
    }
    const end = this.#scan.scan(bytes, start, stop, this.#limits.maxFields);
    if (end === INCOMPLETE) return this.#incomplete(buffer, stop);
    const text = end - start === guess.length ? guess : bytes.toString("latin1", start, end);
    this.#section = new FieldSection(text);
    if (this.#facts === undefined || !this.#facts.holdFor(text, this.#scan)) {
      this.#facts = new HeadFacts(this.#section, this.#scan);
    }
    this.#finish(buffer, end);
    return true;
  }

  #forget(): void {
    this.#section = noSection;
    this.#facts = undefined;
  }

  #finish(buffer: ReceiveBuffer, end: number): void {
    buffer.consumeTo(end);
    this.#sectionAt = 0;
    this.#emptyLines = 0;
  }

  /** The position no byte of this head may reach. */
  #stop(buffer: ReceiveBuffer): number {
    const limit = buffer.start + this.#limits.maxHead;
    return Math.min(limit, buffer.end);
  }

  #incomplete(buffer: ReceiveBuffer, stop: number): false {
    if (stop - buffer.start < this.#limits.maxHead) return false;
    throw new LimitError(`the request head is longer than ${this.#limits.maxHead} bytes`, {
      status: 431,
      section: "RFC 6585 §5",
      limit: "maxHead",
      max: this.#limits.maxHead,
    });
  }

  /** The rules that need both the request line and the fields. */
  #assemble(section: FieldSection, facts: HeadFacts): RequestHead {
    const line = this.#line;
    const http10 = line.version === "1.0";
    const authority = this.#authority(facts, http10);
    const framing = facts.framing(http10);
    if (line.form === "authority") throw connectRefused();
    if (facts.otherExpectation && !http10) throw expectationFailed();
    const expectContinue = !http10 && facts.expectContinue && framing !== "none";
    return new RequestHead(
      line.method,
      line,
      line.version,
      section,
      authority,
      persists(facts.connection, http10),
      framing,
      expectContinue,
      !http10 && facts.upgrade,
    );
  }

  /** An absolute target's authority wins, but Host must be there and valid all the same (RFC 9112 §3.2.2). */
  #authority(facts: HeadFacts, http10: boolean): Authority {
    const { host } = facts;
    if (host === unusableHost) throw invalidHost("the Host field is invalid, or there are several");
    if (host === noHost) {
      if (!http10) throw invalidHost("an HTTP/1.1 request has no Host field");
    } else if (host.host === "" && this.#line.form !== "asterisk") {
      // Only a target without an authority has an empty Host, and an http URI always has one.
      throw invalidHost("the Host field is empty");
    }
    return this.#line.authority ?? host;
  }
}

function invalidHost(message: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section: "RFC 9112 §3.2" });
}

function connectRefused(): ProtocolError {
  return new ProtocolError("this server opens no tunnels", { status: 501, section: "RFC 9110 §9.3.6" });
}

function expectationFailed(): ProtocolError {
  return new ProtocolError("an expectation cannot be met", { status: 417, section: "RFC 9110 §10.1.1" });
}

/**
 * The section at `start`, if it is as long as the one before: it ends with the only empty line in
 * it, so where one could end is quickly seen. `""` when it cannot be.
 */
function sameLength(before: string, bytes: Buffer, start: number, stop: number): string {
  const end = start + before.length;
  if (before === "" || end > stop || bytes[end - 1] !== LF || bytes[end - 3] !== LF) return "";
  if (spells(before, bytes, start, end)) return before;
  return bytes.toString("latin1", start, end);
}
