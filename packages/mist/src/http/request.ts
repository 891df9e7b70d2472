// A request as a value: what the head said (RFC 9110 §3.4), and a body of any kind.
//
// Fields, path segments and the query are worked out when they are asked for: many handlers never do.

import { type Fields, field, getField, getFieldLines } from "./fields.ts";

/** What the server knows about a request besides its head. Implemented by the server's exchange. */
export interface RequestContext {
  /** Aborted when the client goes away before its response is complete. */
  readonly signal: AbortSignal;
  /** `"https"` over TLS, else `"http"`. */
  readonly scheme: "http" | "https";
}

/** The parts of a parsed request head that a {@link Request} shows. */
export interface RequestParts {
  readonly method: string;
  readonly target: string;
  readonly version: "1.0" | "1.1";
  readonly host: string;
  readonly port: number | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly fields: Fields;
  /** The combined value of a field by its lower-case name. */
  get(name: string): string | undefined;
}

/**
 * An HTTP request. Immutable: `setHeader`, `prependHeader` and `setBody` give new requests.
 *
 * @typeParam Body what `body` holds: the incoming body to be read, or `Uint8Array` behind `readRequestBody`.
 */
export class Request<Body = unknown> {
  readonly #parts: RequestParts;
  /** @internal */
  readonly context: RequestContext;
  /** The body; give the request to `readBody` or `stream` to read an incoming one. */
  readonly body: Body;

  /** @internal */
  constructor(parts: RequestParts, context: RequestContext, body: Body) {
    this.#parts = parts;
    this.context = context;
    this.body = body;
  }

  /** The method, as sent; methods are case-sensitive (RFC 9110 §9.1). */
  get method(): string {
    return this.#parts.method;
  }

  /** The request target as sent (RFC 9112 §3.2). */
  get target(): string {
    return this.#parts.target;
  }

  /** `"1.1"` or `"1.0"`. */
  get version(): "1.0" | "1.1" {
    return this.#parts.version;
  }

  /** `"https"` if the request came over TLS, else `"http"`. */
  get scheme(): "http" | "https" {
    return this.context.scheme;
  }

  /** Host of the target URI (RFC 9110 §7.1), without the port; empty if an HTTP/1.0 client named none. */
  get host(): string {
    return this.#parts.host;
  }

  /** Port of the target URI if one was named. */
  get port(): number | undefined {
    return this.#parts.port;
  }

  /** The path as sent: percent-encoding kept, query left out. `"*"` for `OPTIONS *`. */
  get path(): string {
    return this.#parts.path;
  }

  /** What stands behind the first `?`, as sent; undefined without one. */
  get query(): string | undefined {
    return this.#parts.query;
  }

  /** The non-empty segments of the path, as sent. `/a//b/` gives `["a", "b"]`. */
  get pathSegments(): readonly string[] {
    return this.path.split("/").filter((segment) => segment !== "");
  }

  /** Fields in the order they came; names lower-cased, duplicates kept. */
  get headers(): Fields {
    return this.#parts.fields;
  }

  /** Aborted when the client goes away before the response is complete; never after a complete one. */
  get signal(): AbortSignal {
    return this.context.signal;
  }

  /**
   * The value of that field, or undefined. Several lines are one value, joined with `", "` (RFC 9110 §5.3), those of
   * `cookie` with `"; "`. The name's case does not matter.
   */
  getHeader(name: string): string | undefined {
    return this.#parts.get(name.toLowerCase());
  }

  /** All values of that field, in order. */
  getHeaders(name: string): readonly string[] {
    return getFieldLines(this.headers, name.toLowerCase());
  }

  /** This request with `name: value` in the place of any fields of that name. @throws UsageError if malformed. */
  setHeader(name: string, value: string): Request<Body> {
    const added = field(name, value);
    return this.#withFields([...this.headers.filter((existing) => existing[0] !== added[0]), added]);
  }

  /** This request with one more `name: value` in front. @throws UsageError if malformed. */
  prependHeader(name: string, value: string): Request<Body> {
    return this.#withFields([field(name, value), ...this.headers]);
  }

  /** This request with another path (and no query), for handlers mounted below a prefix. */
  setPath(path: string): Request<Body> {
    return new Request({ ...copyParts(this.#parts), path, query: undefined }, this.context, this.body);
  }

  /** This request with another body. */
  setBody<NewBody>(body: NewBody): Request<NewBody> {
    return new Request(this.#parts, this.context, body);
  }

  #withFields(fields: Fields): Request<Body> {
    const get = (name: string) => getField(fields, name);
    return new Request({ ...copyParts(this.#parts), fields, get }, this.context, this.body);
  }
}

// The parser's head has its values behind getters, which a spread would not copy.
function copyParts(parts: RequestParts): RequestParts {
  const { method, target, version, host, port, path, query, fields } = parts;
  return { method, target, version, host, port, path, query, fields, get: (name) => parts.get(name) };
}
