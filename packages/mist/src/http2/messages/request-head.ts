// A request head as the application sees it: the same shape as HTTP/1's, out of pseudo-fields and fields. Immutable,
// and shared by requests whose header blocks are the same bytes.

import type { Authority } from "../../http/authority.ts";
import { type Fields, getField, getFieldLines } from "../../http/fields.ts";
import type { Priority } from "../flow/priority.ts";

/** The forms a target can have (RFC 9113 §8.3.1). */
export type TargetForm = "origin" | "asterisk";

/** The body of a request: none, that many bytes, or until the stream ends. */
export type Framing = "none" | "until-end" | { readonly length: number };

export interface RequestHeadParts {
  readonly method: string;
  readonly target: string;
  readonly scheme: string;
  readonly protocol: string | undefined;
  readonly authority: Authority;
  readonly fields: Fields;
  readonly framing: Framing;
  readonly expectContinue: boolean;
  readonly priority: Priority;
}

export class RequestHead {
  readonly type = "request";
  readonly version = "2";
  /** Case-sensitive token. `"CONNECT"` only with a `protocol`. */
  readonly method: string;
  /** `:path` as sent: path and query, or `"*"`. */
  readonly target: string;
  readonly form: TargetForm;
  /** `:scheme` as sent. It proves nothing: only the transport knows whether it is TLS. */
  readonly scheme: string;
  /** `:protocol` of an extended CONNECT (RFC 8441 §4), such as `"websocket"`. */
  readonly protocol: string | undefined;
  /** Every field, in order: `host` first where the request had none, cookie crumbs joined, no pseudo-fields. */
  readonly fields: Fields;
  /** How long the body is; `"none"` exactly when the head ended the stream. */
  readonly framing: Framing;
  /** The client waits for a `100 (Continue)` before it sends the body. */
  readonly expectContinue: boolean;
  /** The connection outlives every request. */
  readonly keepAlive = true;
  /** There is no Upgrade in HTTP/2 (RFC 9113 §8.6); extended CONNECT is what `protocol` says. */
  readonly upgrade = false;
  /** What the `priority` field says (RFC 9218 §4). */
  readonly priority: Priority;
  readonly #authority: Authority;
  /** Where the first "?" is in the target; -1: none. */
  readonly #queryAt: number;

  constructor(parts: RequestHeadParts) {
    this.method = parts.method;
    this.target = parts.target;
    this.form = parts.target === "*" ? "asterisk" : "origin";
    this.scheme = parts.scheme;
    this.protocol = parts.protocol;
    this.fields = parts.fields;
    this.framing = parts.framing;
    this.expectContinue = parts.expectContinue;
    this.priority = parts.priority;
    this.#authority = parts.authority;
    this.#queryAt = parts.target.indexOf("?");
  }

  /** The host of the target URI, in lower case; `""` only for `OPTIONS *` without an authority. */
  get host(): string {
    return this.#authority.host;
  }

  get port(): number | undefined {
    return this.#authority.port;
  }

  /** The path as sent, never empty; `"*"` for the asterisk. */
  get path(): string {
    return this.#queryAt === -1 ? this.target : this.target.slice(0, this.#queryAt);
  }

  /** What follows the first "?", without it; `undefined` when there is no "?". */
  get query(): string | undefined {
    return this.#queryAt === -1 ? undefined : this.target.slice(this.#queryAt + 1);
  }

  get hasBody(): boolean {
    return this.framing !== "none";
  }

  /** The combined value of a field (RFC 9110 §5.3); `name` in lower case. */
  get(name: string): string | undefined {
    return getField(this.fields, name);
  }

  /** Each line's value of a field; `name` in lower case. */
  getAll(name: string): string[] {
    return getFieldLines(this.fields, name);
  }
}
