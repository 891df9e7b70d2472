/**
 * What the core reads out of a head's field section, whatever request line stands above it: Host,
 * framing, connection options, expectation, upgrade.
 *
 * A value that is the same as in the section before (nearly always Host) is not parsed again.
 */

import { type Authority, parseAuthority } from "../http/authority.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  type FieldSection,
  HOST,
  type SectionScan,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./field-section.ts";
import { type Framing, type FramingFields, requestFraming } from "./framing.ts";
import { type ConnectionOptions, NO_OPTIONS, parseConnection } from "./persistence.ts";

/** There is no Host field. */
export const NO_HOST: Authority = Object.freeze({ host: "", port: undefined });
/** There is a Host field without a value: the target URI has no authority (RFC 9112 §3.2). */
const EMPTY_HOST: Authority = Object.freeze({ host: "", port: undefined });
/** There are several Host fields, or one that is no authority. */
export const INVALID_HOST: Authority = Object.freeze({ host: "", port: undefined });

export class HeadFacts implements FramingFields {
  readonly section: FieldSection;
  /** What Host says, or one of the constants above. */
  readonly host: Authority;
  readonly connection: ConnectionOptions;
  /** `connection: upgrade` and an Upgrade field are both there. */
  readonly upgrade: boolean;
  /** Every expectation is `100-continue`, and there is one. */
  readonly expectContinue: boolean;
  /** There is another expectation. */
  readonly otherExpectation: boolean;
  readonly transferEncoding: readonly string[] | undefined;
  readonly contentLength: string | undefined;
  readonly severalLengths: boolean;
  private readonly hostText: string;
  private framed: Framing | undefined = undefined;

  constructor(section: FieldSection, scan: SectionScan, before: HeadFacts | undefined) {
    this.section = section;
    const { text } = section;
    this.hostText = scan.has(HOST) ? scan.value(HOST, text) : "";
    this.host = this.readHost(scan, before);
    this.connection = scan.has(CONNECTION) ? readConnection(section, scan) : NO_OPTIONS;
    this.upgrade = this.connection.upgrade && scan.has(UPGRADE);
    const expectations = scan.has(EXPECT) ? section.getAll("expect") : undefined;
    this.otherExpectation = expectations?.some(isNotContinue) === true;
    this.expectContinue = expectations !== undefined && !this.otherExpectation;
    this.transferEncoding = scan.has(TRANSFER_ENCODING) ? section.getAll("transfer-encoding") : undefined;
    this.contentLength = scan.has(CONTENT_LENGTH) ? scan.value(CONTENT_LENGTH, text) : undefined;
    this.severalLengths = scan.hasSeveral(CONTENT_LENGTH);
  }

  private readHost(scan: SectionScan, before: HeadFacts | undefined): Authority {
    if (!scan.has(HOST)) return NO_HOST;
    if (scan.hasSeveral(HOST)) return INVALID_HOST;
    if (before !== undefined && before.host !== NO_HOST && before.hostText === this.hostText)
      return before.host;
    return this.hostText === "" ? EMPTY_HOST : (parseAuthority(this.hostText) ?? INVALID_HOST);
  }

  /** Throws what `requestFraming` throws. */
  framing(http10: boolean): Framing {
    if (this.framed === undefined || (http10 && this.transferEncoding !== undefined)) {
      this.framed = requestFraming(this, http10);
    }
    return this.framed;
  }
}

function readConnection(section: FieldSection, scan: SectionScan): ConnectionOptions {
  if (scan.hasSeveral(CONNECTION)) return parseConnection(section.getAll("connection"));
  return parseConnection([scan.value(CONNECTION, section.text)]);
}

function isNotContinue(expectation: string): boolean {
  return expectation.toLowerCase() !== "100-continue";
}
