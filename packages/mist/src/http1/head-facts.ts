// What the core reads out of a head's field section, whatever request line stands above it: Host,
// framing, connection options, expectation, upgrade.
//
// Most clients repeat these fields from request to request, whatever the other fields say: then the
// facts of the section before still hold, and nothing is parsed.

import { type Authority, parseAuthority } from "../http/authority.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  type FieldSection,
  HOST,
  type OwnLines,
  type SectionScan,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./field-section.ts";
import { type Framing, type FramingFields, requestFraming } from "./framing.ts";
import { type ConnectionOptions, noOptions, parseConnection } from "./persistence.ts";

/** There is no Host field. */
export const noHost: Authority = Object.freeze({ host: "", port: undefined });
/** There is a Host field without a value: the target URI has no authority (RFC 9112 §3.2). */
const emptyHost: Authority = Object.freeze({ host: "", port: undefined });
/** There are several Host fields, or one that is not an authority. */
export const unusableHost: Authority = Object.freeze({ host: "", port: undefined });

export class HeadFacts implements FramingFields {
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
  /** The lines all this was read from. */
  readonly #lines: OwnLines;
  #framed: Framing | undefined = undefined;

  constructor(section: FieldSection, scan: SectionScan) {
    const { text } = section;
    this.#lines = scan.ownLines(text);
    this.host = readHost(section, scan);
    this.connection = scan.has(CONNECTION) ? readConnection(section, scan) : noOptions;
    this.upgrade = this.connection.upgrade && scan.has(UPGRADE);
    const expectations = scan.has(EXPECT) ? section.getAll("expect") : undefined;
    this.otherExpectation = expectations?.some(isNotContinue) === true;
    this.expectContinue = expectations !== undefined && !this.otherExpectation;
    this.transferEncoding = scan.has(TRANSFER_ENCODING) ? section.getAll("transfer-encoding") : undefined;
    this.contentLength = scan.has(CONTENT_LENGTH) ? scan.value(CONTENT_LENGTH, text) : undefined;
    this.severalLengths = scan.hasSeveral(CONTENT_LENGTH);
  }

  /** Do they hold for another section, too: are the lines they were read from the same? */
  holdFor(text: string, scan: SectionScan): boolean {
    return scan.hasSameOwnLines(text, this.#lines);
  }

  /** Throws what `requestFraming` throws. */
  framing(http10: boolean): Framing {
    if (this.#framed === undefined || (http10 && this.transferEncoding !== undefined)) {
      this.#framed = requestFraming(this, http10);
    }
    return this.#framed;
  }
}

function readHost(section: FieldSection, scan: SectionScan): Authority {
  if (!scan.has(HOST)) return noHost;
  if (scan.hasSeveral(HOST)) return unusableHost;
  const value = scan.value(HOST, section.text);
  return value === "" ? emptyHost : (parseAuthority(value) ?? unusableHost);
}

function readConnection(section: FieldSection, scan: SectionScan): ConnectionOptions {
  if (scan.hasSeveral(CONNECTION)) return parseConnection(section.getAll("connection"));
  return parseConnection([scan.value(CONNECTION, section.text)]);
}

function isNotContinue(expectation: string): boolean {
  return expectation.toLowerCase() !== "100-continue";
}
