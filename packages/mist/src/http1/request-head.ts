// A request head as the application sees it. Everything that costs a string is made on demand.

import type { Authority } from "../http/authority.ts";
import type { Fields } from "../http/fields.ts";
import type { FieldSection } from "./field-section.ts";
import type { Framing } from "./framing.ts";

/** The forms of a request target (RFC 9112 §3.2). An authority form never gets past the parser. */
export type TargetForm = "origin" | "absolute" | "asterisk" | "authority";

export type HttpVersion = "1.1" | "1.0";

/**
 * What the parser found out about the target. Not its scheme: what an absolute target calls itself
 * proves nothing, only the transport knows whether it is TLS.
 */
export interface TargetParts {
  readonly form: TargetForm;
  /** The target as sent. */
  readonly target: string;
  /** Where the path starts in the target; `-1`: the path is empty (absolute form only). */
  readonly pathAt: number;
  /** Where the first "?" is in the target; `-1`: none. */
  readonly queryAt: number;
  /** Of an absolute target; otherwise `undefined`. */
  readonly authority: Authority | undefined;
}

export class RequestHead {
  readonly type = "request";
  /** Case-sensitive token. */
  readonly method: string;
  /** The request target as sent. */
  readonly target: string;
  readonly form: TargetForm;
  readonly version: HttpVersion;
  /** Does the client want the connection kept (RFC 9112 §9.3)? */
  readonly keepAlive: boolean;
  /** How the body is framed; `"none"` also for a length of zero. */
  readonly framing: Framing;
  /** The client waits for a `100 (Continue)` before it sends the body. */
  readonly expectContinue: boolean;
  /** HTTP/1.1, `connection: upgrade` and an Upgrade field are all there. */
  readonly upgrade: boolean;
  readonly #section: FieldSection;
  readonly #authority: Authority;
  readonly #pathAt: number;
  readonly #queryAt: number;

  constructor(
    method: string,
    parts: TargetParts,
    version: HttpVersion,
    section: FieldSection,
    authority: Authority,
    keepAlive: boolean,
    framing: Framing,
    expectContinue: boolean,
    upgrade: boolean,
  ) {
    this.method = method;
    this.target = parts.target;
    this.form = parts.form;
    this.version = version;
    this.keepAlive = keepAlive;
    this.framing = framing;
    this.expectContinue = expectContinue;
    this.upgrade = upgrade;
    this.#section = section;
    this.#authority = authority;
    this.#pathAt = parts.pathAt;
    this.#queryAt = parts.queryAt;
  }

  /** The host of the target URI, lower-case; `""` when an HTTP/1.0 client or an empty Host named none. */
  get host(): string {
    return this.#authority.host;
  }

  get port(): number | undefined {
    return this.#authority.port;
  }

  /** The path as sent, never empty: `"/"` when an absolute target has none, `"*"` for the asterisk. */
  get path(): string {
    if (this.#pathAt === 0) return this.#queryAt === -1 ? this.target : this.target.slice(0, this.#queryAt);
    if (this.#pathAt === -1) return this.method === "OPTIONS" && this.#queryAt === -1 ? "*" : "/";
    return this.target.slice(this.#pathAt, this.#queryAt === -1 ? undefined : this.#queryAt);
  }

  /** What follows the first "?", without it; `undefined` when there is no "?". */
  get query(): string | undefined {
    return this.#queryAt === -1 ? undefined : this.target.slice(this.#queryAt + 1);
  }

  /** Every field line, in order, names in lower case. */
  get fields(): Fields {
    return this.#section.fields;
  }

  /** The combined value of a field (RFC 9110 §5.3); `name` in lower case. */
  get(name: string): string | undefined {
    return this.#section.get(name);
  }

  /** Each line's value of a field; `name` in lower case. */
  getAll(name: string): string[] {
    return this.#section.getAll(name);
  }
}
