// From decoded fields to a request head or to trailers: the rules of RFC 9113 §8.2 and §8.3.
//
// A malformed message is a `ProtocolError` without a status: its stream is reset. One that is well formed and refused
// all the same (too large, an expectation) has the status to answer with.

import { LimitError, ProtocolError } from "../../errors.ts";
import { type Authority, parseAuthority } from "../../http/authority.ts";
import { parseContentLength } from "../../http/content-length.ts";
import { type Field, type Fields, NO_FIELDS } from "../../http/fields.ts";
import { isTrailerField } from "../../http/trailer-fields.ts";
import { calmDown } from "../errors.ts";
import { DEFAULT_PRIORITY, type Priority, parsePriority } from "../flow/priority.ts";
import type { FieldSink } from "../hpack/decoder.ts";
import { type Entry, UNCLASSIFIED } from "../hpack/entry.ts";
import { HARD_FACTOR, type Http2Limits } from "../limits.ts";
import * as kinds from "./field-kind.ts";
import { fieldKind, malformedReason } from "./field-kind.ts";
import { type Framing, RequestHead } from "./request-head.ts";

/** Where the host is going to stand. */
const NO_HOST: Field = ["host", ""];
const NO_AUTHORITY: Authority = Object.freeze({ host: "", port: undefined });

/** One per connection, used for one block after the other: `begin`, the fields, then `head` or `trailers`. */
export class HeadBlock implements FieldSink {
  readonly #limits: Http2Limits;
  readonly #extendedConnect: boolean;
  #maxSize = 0;
  #maxFields = 0;
  #size = 0;
  #count = 0;
  /** Pseudo-fields met, one bit each. */
  #pseudo = 0;
  /** Those of a head start with a place for the host. */
  #fields: Field[] = [];
  #sawField = false;
  #fault = 0;
  #faultMessage = "";
  #method = "";
  #scheme = "";
  #path = "";
  #authority = "";
  #protocol: string | undefined = undefined;
  #cookie = "";
  #cookieAt = -1;
  #host: string | undefined = undefined;
  #length: string | undefined = undefined;
  #expect: string | undefined = undefined;
  #priority: string | undefined = undefined;
  // The authority parsed last: a client rarely names another one.
  #parsedText = "";
  #parsed: Authority | undefined = undefined;
  #hostField: Field = NO_HOST;

  /** @param extendedConnect whether SETTINGS_ENABLE_CONNECT_PROTOCOL was sent (RFC 8441 §3). */
  constructor(limits: Http2Limits, extendedConnect: boolean) {
    this.#limits = limits;
    this.#extendedConnect = extendedConnect;
  }

  /** Forgets the block before. */
  begin(isTrailer: boolean): void {
    this.#maxSize = isTrailer ? this.#limits.maxTrailer : this.#limits.maxHead;
    this.#maxFields = isTrailer ? this.#limits.maxTrailerFields : this.#limits.maxFields;
    this.#size = 0;
    this.#count = 0;
    this.#pseudo = 0;
    this.#fields = isTrailer ? [] : [NO_HOST];
    this.#sawField = false;
    this.#fault = 0;
    this.#faultMessage = "";
    this.#method = "";
    this.#scheme = "";
    this.#path = "";
    this.#authority = "";
    this.#protocol = undefined;
    this.#cookieAt = -1;
    this.#host = undefined;
    this.#length = undefined;
    this.#expect = undefined;
    this.#priority = undefined;
  }

  /** Was it a HEAD request, as far as one can tell? */
  get isHead(): boolean {
    return this.#method === "HEAD";
  }

  field(entry: Entry): void {
    this.#size += entry.size;
    this.#count++;
    if (this.#size > this.#maxSize || this.#count > this.#maxFields) {
      this.#tooLarge();
      return;
    }
    if (entry.kind === UNCLASSIFIED) entry.kind = fieldKind(entry.field[0], entry.field[1]);
    const { kind } = entry;
    if (kind >= kinds.METHOD) {
      this.#pseudoField(kind, entry.field[1]);
      return;
    }
    this.#sawField = true;
    if (kind === kinds.PLAIN) this.#fields.push(entry.field);
    else this.#ownField(kind, entry.field);
  }

  /** Nothing more is kept. It is decoded on for the table's sake, within reason (CVE-2026-49975). */
  #tooLarge(): void {
    if (this.#size > this.#maxSize * HARD_FACTOR) {
      throw calmDown(
        `a decoded field section is larger than ${this.#maxSize * HARD_FACTOR} bytes`,
        "maxHead",
        this.#maxSize,
      );
    }
    if (this.#count > this.#maxFields * HARD_FACTOR) {
      throw calmDown(`more than ${this.#maxFields * HARD_FACTOR} fields`, "maxFields", this.#maxFields);
    }
  }

  #pseudoField(kind: number, value: string): void {
    if (kind >= kinds.MALFORMED) {
      this.#fault ||= kind;
      return;
    }
    const bit = 1 << kind;
    if ((this.#pseudo & bit) !== 0) this.#faultMessage = "a pseudo-field is there twice";
    if (this.#sawField) this.#faultMessage = "a pseudo-field follows a field";
    this.#pseudo |= bit;
    if (kind === kinds.METHOD) this.#method = value;
    else if (kind === kinds.SCHEME) this.#scheme = value;
    else if (kind === kinds.PATH) this.#path = value;
    else if (kind === kinds.AUTHORITY) this.#authority = value;
    else this.#protocol = value;
  }

  #ownField(kind: number, field: Field): void {
    const value = field[1];
    if (kind === kinds.COOKIE) {
      // Crumbs of one field (RFC 9113 §8.2.3).
      if (this.#cookieAt !== -1) {
        this.#cookie += `; ${value}`;
        return;
      }
      this.#cookieAt = this.#fields.length;
      this.#cookie = value;
    } else if (kind === kinds.HOST) {
      if (this.#host !== undefined) this.#faultMessage = "there are several host fields";
      this.#host = value;
    } else if (kind === kinds.CONTENT_LENGTH) {
      if (this.#length !== undefined) this.#faultMessage = "there are several content-length fields";
      this.#length = value;
    } else if (kind === kinds.EXPECT) {
      if (this.#expect === undefined || value.toLowerCase() !== "100-continue") this.#expect = value;
    } else {
      this.#priority = this.#priority === undefined ? value : `${this.#priority}, ${value}`;
    }
    this.#fields.push(field);
  }

  /** The trailers of a request. */
  trailers(): Fields | ProtocolError {
    if (this.#pseudo !== 0) this.#faultMessage = "trailers hold a pseudo-field";
    const fault = this.#malformed();
    if (fault !== undefined) return fault;
    const excess = this.#excess("maxTrailer", "maxTrailerFields");
    if (excess !== undefined) return excess;
    const kept = this.#takeFields().filter(([name]) => isTrailerField(name));
    return kept.length === 0 ? NO_FIELDS : kept;
  }

  /** The head of a request; `ended`: its stream has ended with it. */
  head(ended: boolean): RequestHead | ProtocolError {
    const fault = this.#malformed();
    if (fault !== undefined) return fault;
    const excess = this.#excess("maxHead", "maxFields");
    if (excess !== undefined) return excess;
    const wrong = this.#wrongPseudoFields();
    if (wrong !== "") return malformed(wrong, "RFC 9113 §8.3.1");
    const authority = this.#checkedAuthority();
    if (authority === undefined)
      return malformed("the authority is missing or invalid, or host differs", "RFC 9113 §8.3.1");
    const framing = this.#framing(ended);
    if (framing === undefined)
      return malformed("content-length does not agree with the message", "RFC 9113 §8.1.1");
    return this.#refusal() ?? this.#assemble(authority, framing, ended);
  }

  #malformed(): ProtocolError | undefined {
    if (this.#fault !== 0) {
      const { message, section } = malformedReason(this.#fault);
      return malformed(message, section);
    }
    return this.#faultMessage === "" ? undefined : malformed(this.#faultMessage, "RFC 9113 §8.3");
  }

  #excess(sizeLimit: string, countLimit: string): LimitError | undefined {
    if (this.#count > this.#maxFields) {
      return tooLarge(`more than ${this.#maxFields} fields`, 431, countLimit, this.#maxFields);
    }
    if (this.#size <= this.#maxSize) return undefined;
    return tooLarge(`the field section is larger than ${this.#maxSize} bytes`, 431, sizeLimit, this.#maxSize);
  }

  /** RFC 9113 §8.3.1, §8.5; RFC 8441 §4. */
  #wrongPseudoFields(): string {
    const has = (kind: number) => (this.#pseudo & (1 << kind)) !== 0;
    if (!has(kinds.METHOD)) return "there is no :method";
    if (this.#method === "CONNECT" && this.#protocol === undefined) {
      return has(kinds.SCHEME) || has(kinds.PATH) ? "CONNECT has a :scheme or :path" : "";
    }
    if (!has(kinds.SCHEME) || !has(kinds.PATH)) return "there is no :scheme or no :path";
    if (this.#path === "*" && this.#method !== "OPTIONS") return "only OPTIONS may have the path *";
    if (this.#protocol === undefined) return "";
    if (this.#method !== "CONNECT") return "only CONNECT may have a :protocol";
    return this.#extendedConnect ? "" : "extended CONNECT was not offered";
  }

  /** RFC 9113 §8.3.1: `:authority` or `host`; where both stand, they must name the same. */
  #checkedAuthority(): Authority | undefined {
    const host = this.#host;
    const text = this.#authority === "" ? (host ?? "") : this.#authority;
    if (text === "") return this.#path === "*" && this.#method === "OPTIONS" ? NO_AUTHORITY : undefined;
    const authority = this.#parse(text);
    if (host === undefined || host === text || authority === undefined) return authority;
    const other = parseAuthority(host);
    return other?.host === authority.host && other.port === authority.port ? authority : undefined;
  }

  #parse(text: string): Authority | undefined {
    if (text !== this.#parsedText) {
      this.#parsedText = text;
      this.#parsed = parseAuthority(text);
      this.#hostField = ["host", text];
    }
    return this.#parsed;
  }

  /** Undefined: what content-length says cannot be. */
  #framing(ended: boolean): Framing | undefined {
    if (this.#length === undefined) return ended ? "none" : "until-end";
    const length = parseContentLength(this.#length);
    if (length === undefined || (ended && length !== 0)) return undefined;
    return ended ? "none" : { length };
  }

  #refusal(): ProtocolError | undefined {
    if (this.#method === "CONNECT" && this.#protocol === undefined) {
      return new ProtocolError("this server opens no tunnels", { status: 501, section: "RFC 9110 §9.3.6" });
    }
    // Names of protocols are compared without regard to case (RFC 9110 §7.8).
    if (this.#protocol !== undefined && this.#protocol.toLowerCase() !== "websocket") {
      return new ProtocolError("the only :protocol here is websocket", {
        status: 501,
        section: "RFC 9220 §3",
      });
    }
    if (this.#path.length > this.#limits.maxTarget) {
      return tooLarge(
        `:path is longer than ${this.#limits.maxTarget} bytes`,
        414,
        "maxTarget",
        this.#limits.maxTarget,
      );
    }
    if (this.#expect !== undefined && this.#expect.toLowerCase() !== "100-continue") {
      return new ProtocolError("an expectation cannot be met", { status: 417, section: "RFC 9110 §10.1.1" });
    }
    return undefined;
  }

  #assemble(authority: Authority, framing: Framing, ended: boolean): RequestHead {
    const fields = this.#takeFields();
    // Handlers read the host where HTTP/1 has it (RFC 9113 §8.3.1 asks the same of intermediaries).
    if (this.#host === undefined && this.#authority !== "") fields[0] = this.#hostField;
    else fields.shift();
    const priority: Priority =
      this.#priority === undefined ? DEFAULT_PRIORITY : parsePriority(this.#priority);
    return new RequestHead({
      method: this.#method,
      target: this.#path,
      scheme: this.#scheme,
      protocol: this.#protocol,
      authority,
      fields,
      framing,
      expectContinue: !ended && this.#expect !== undefined,
      priority,
    });
  }

  #takeFields(): Field[] {
    const fields = this.#fields;
    if (this.#cookieAt !== -1) fields[this.#cookieAt] = ["cookie", this.#cookie];
    this.#fields = [];
    return fields;
  }
}

function malformed(message: string, section: string): ProtocolError {
  return new ProtocolError(message, { section });
}

function tooLarge(message: string, status: number, limit: string, max: number): LimitError {
  return new LimitError(message, { status, section: "RFC 6585 §5", limit, max });
}
