/**
 * From bytes to a request head: request line, field section, then the rules that need both
 * (Host, framing, persistence, expectation, upgrade).
 *
 * A client repeats its fields from request to request. So the last section is kept, with all that
 * was learned from it, and a head whose section is the same bytes is compared instead of parsed.
 */

import { LimitError, ProtocolError } from "../errors.ts";
import { type Authority, parseAuthority } from "../http/authority.ts";
import {
  CONNECTION,
  EXPECT,
  FieldSection,
  HOST,
  INCOMPLETE,
  SectionScan,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./field-section.ts";
import { type Framing, requestFraming } from "./framing.ts";
import { CR, LF } from "./grammar.ts";
import type { Http1Limits } from "./limits.ts";
import { type ConnectionOptions, NO_OPTIONS, parseConnection, persists } from "./persistence.ts";
import type { ReceiveBuffer } from "./receive-buffer.ts";
import { RequestHead } from "./request-head.ts";
import { RequestLine } from "./request-line.ts";

/** Longer sections are not kept between requests: an idle connection should hold little. */
const MAX_KEPT_SECTION = 4096;

const NO_AUTHORITY: Authority = Object.freeze({ host: "", port: undefined });

export class HeadReader {
  private readonly limits: Http1Limits;
  private readonly line: RequestLine;
  private readonly scan = new SectionScan();
  /** Where the field section starts, relative to the head; 0 while the request line is unfinished. */
  private sectionAt = 0;
  private emptyLines = 0;
  private kept: HeadFacts | undefined = undefined;

  constructor(limits: Http1Limits) {
    this.limits = limits;
    this.line = new RequestLine(limits.maxTarget);
  }

  /** Was the request line of the head read last a HEAD request? Its answer has no body, even a 400. */
  get isHead(): boolean {
    return this.line.method === "HEAD";
  }

  /** Read one head and consume it; `undefined` when it is not complete. Throws `ProtocolError`. */
  read(buffer: ReceiveBuffer): RequestHead | undefined {
    if (this.sectionAt === 0 && !this.readLine(buffer)) return undefined;
    const facts = this.readSection(buffer);
    return facts === undefined ? undefined : this.assemble(facts);
  }

  /** Are the bytes left no more than the beginning of an empty line? */
  onlyEmptyLines(buffer: ReceiveBuffer): boolean {
    return this.sectionAt === 0 && buffer.length === 1 && buffer.bytes[buffer.start] === CR;
  }

  private readLine(buffer: ReceiveBuffer): boolean {
    if (buffer.bytes[buffer.start] === CR && !this.skipEmptyLines(buffer)) return false;
    if (buffer.length === 0) return false;
    const stop = this.stop(buffer);
    const end = this.line.scan(buffer.bytes, buffer.start, stop);
    if (end === INCOMPLETE) return this.incomplete(buffer, stop);
    this.sectionAt = end - buffer.start;
    this.scan.reset();
    return true;
  }

  /** RFC 9112 §2.2: a server should ignore at least one CRLF before a request line. */
  private skipEmptyLines(buffer: ReceiveBuffer): boolean {
    while (buffer.length > 0 && buffer.bytes[buffer.start] === CR) {
      if (buffer.length === 1) return false;
      if (buffer.bytes[buffer.start + 1] !== LF || ++this.emptyLines > this.limits.maxEmptyLines) {
        throw new ProtocolError("too many empty lines, or a bare CR, before the request line", {
          status: 400,
          section: "RFC 9112 §2.2",
        });
      }
      buffer.consumeTo(buffer.start + 2);
    }
    return true;
  }

  private readSection(buffer: ReceiveBuffer): HeadFacts | undefined {
    const { bytes } = buffer;
    const start = buffer.start + this.sectionAt;
    const stop = this.stop(buffer);
    const repeated = this.repeatedSection(bytes, start, stop);
    if (repeated !== undefined) {
      this.finish(buffer, start + repeated.section.text.length);
      return repeated;
    }
    const end = this.scan.scan(bytes, start, stop, this.limits.maxFields);
    if (end === INCOMPLETE) {
      this.incomplete(buffer, stop);
      return undefined;
    }
    const facts = new HeadFacts(new FieldSection(bytes.toString("latin1", start, end), this.scan.seen));
    this.kept = end - start <= MAX_KEPT_SECTION ? facts : undefined;
    this.finish(buffer, end);
    return facts;
  }

  /** The kept section, when the bytes at `start` are the same. It ends with the only empty line in it. */
  private repeatedSection(bytes: Buffer, start: number, stop: number): HeadFacts | undefined {
    const kept = this.kept;
    if (kept === undefined) return undefined;
    const { text } = kept.section;
    const end = start + text.length;
    if (end > stop || bytes[end - 1] !== LF || bytes[end - 3] !== LF) return undefined;
    return bytes.toString("latin1", start, end) === text ? kept : undefined;
  }

  private finish(buffer: ReceiveBuffer, end: number): void {
    buffer.consumeTo(end);
    this.sectionAt = 0;
    this.emptyLines = 0;
  }

  /** The position no byte of this head may reach. */
  private stop(buffer: ReceiveBuffer): number {
    const limit = buffer.start + this.limits.maxHead;
    return Math.min(limit, buffer.end);
  }

  private incomplete(buffer: ReceiveBuffer, stop: number): false {
    if (stop - buffer.start < this.limits.maxHead) return false;
    throw new LimitError(`the request head is longer than ${this.limits.maxHead} bytes`, {
      status: 431,
      section: "RFC 6585 §5",
      limit: "maxHead",
      max: this.limits.maxHead,
    });
  }

  /** The rules that need both the request line and the fields. */
  private assemble(facts: HeadFacts): RequestHead {
    const { line } = this;
    const http10 = line.version === "1.0";
    const authority = this.authority(facts, http10);
    const framing = facts.framing(http10);
    if (line.form === "authority") throw connectRefused();
    const expectContinue = !http10 && facts.expectContinue() && framing !== "none";
    return new RequestHead(
      line.method,
      line,
      line.version,
      facts.section,
      authority,
      persists(facts.connection, http10),
      framing,
      expectContinue,
      !http10 && facts.wantsUpgrade,
    );
  }

  /** An absolute target's authority wins, but Host must be there and valid all the same (RFC 9112 §3.2.2). */
  private authority(facts: HeadFacts, http10: boolean): Authority {
    const host = facts.host;
    if (host === undefined && !http10) throw invalidHost("an HTTP/1.1 request has no Host field");
    if (facts.hostFault !== undefined) throw invalidHost(facts.hostFault);
    return this.line.authority ?? host ?? NO_AUTHORITY;
  }
}

/** What the core reads out of a field section, whatever request line stands above it. */
class HeadFacts {
  readonly section: FieldSection;
  readonly host: Authority | undefined;
  readonly hostFault: string | undefined;
  readonly connection: ConnectionOptions;
  readonly wantsUpgrade: boolean;
  private framed: Framing | undefined = undefined;

  constructor(section: FieldSection) {
    this.section = section;
    const { seen } = section;
    const hosts = (seen & HOST) === 0 ? [] : section.getAll("host");
    this.host = hosts.length === 0 ? undefined : hostAuthority(hosts[0] as string);
    this.hostFault =
      hosts.length > 1
        ? "several Host fields"
        : hosts.length === 1 && !this.host
          ? "invalid Host"
          : undefined;
    this.connection = (seen & CONNECTION) === 0 ? NO_OPTIONS : parseConnection(section.getAll("connection"));
    this.wantsUpgrade = (seen & UPGRADE) !== 0 && this.connection.upgrade;
  }

  framing(http10: boolean): Framing {
    if (this.framed === undefined || (http10 && (this.section.seen & TRANSFER_ENCODING) !== 0)) {
      this.framed = requestFraming(this.section, http10);
    }
    return this.framed;
  }

  /** `Expect: 100-continue` is the only expectation there is; another one is refused (RFC 9110 §10.1.1). */
  expectContinue(): boolean {
    if ((this.section.seen & EXPECT) === 0) return false;
    const values = this.section.getAll("expect");
    if (values.every((value) => value.toLowerCase() === "100-continue")) return true;
    throw new ProtocolError("an expectation cannot be met", { status: 417, section: "RFC 9110 §10.1.1" });
  }
}

/** An empty Host says that the target URI has no authority (RFC 9112 §3.2). */
function hostAuthority(value: string): Authority | undefined {
  return value === "" ? NO_AUTHORITY : parseAuthority(value);
}

function invalidHost(message: string): ProtocolError {
  return new ProtocolError(message, { status: 400, section: "RFC 9112 §3.2" });
}

function connectRefused(): ProtocolError {
  return new ProtocolError("this server opens no tunnels", { status: 501, section: "RFC 9110 §9.3.6" });
}
