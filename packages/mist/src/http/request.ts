// A request as a value: what the head said (RFC 9110 §3.4), and a body of any kind.
//
// Fields, path segments and the query are worked out when they are asked for: many handlers never do.

import { shown } from "@x/glisten/kit";
import { parseCookie } from "cookie";
import { UsageError } from "../errors.ts";
import { type Fields, field, firstFieldLine, getField, getFieldLines } from "./fields.ts";
import type { ForwardedFacts } from "./forwarded.ts";
import { HttpError } from "./http-error.ts";
import type { RequestContext } from "./request-context.ts";
import { requestOrigin, requestUrl } from "./request-url.ts";

/** What the server knows about a request besides its head. Implemented by the server's exchange. */
export interface RequestExchange {
  /** Aborted when the client goes away before its response is complete. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  /** `"https"` over TLS, else `"http"`. */
  readonly scheme: "http" | "https";
  /** What trusted proxies say in place of connection and head. Undefined: they are not asked, or not believed. */
  readonly forwarded: ForwardedTarget | undefined;
  /** Host and port of our end, for a client that names none; undefined on a unix socket, and if the client is gone. */
  readonly ownAuthority: string | undefined;
  /** What the application keeps about the request. */
  readonly context: RequestContext;
  /** Names the request in logs. */
  readonly id: string;
}

/** The part of {@link ForwardedFacts} that a {@link Request} shows. */
export type ForwardedTarget = Pick<ForwardedFacts, "scheme" | "authority" | "port">;

/** The parts of a parsed request head that a {@link Request} shows. */
export interface RequestParts {
  readonly method: string;
  readonly target: string;
  readonly version: "1.0" | "1.1" | "2";
  readonly host: string;
  readonly port: number | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly fields: Fields;
}

/** The body of a request that has yet to be read. Give the request to `readBody` or `stream`. */
export interface RequestBody {
  /** Bytes announced by `content-length`; undefined if chunked. */
  readonly length: number | undefined;
  /** Bytes handed out so far. */
  readonly received: number;
  /** True once the last piece has been handed out. */
  readonly ended: boolean;
  /** The trailer section; empty before the end (RFC 9110 §6.5). */
  readonly trailers: Fields;
}

/**
 * An HTTP request. Immutable: `setHeader`, `prependHeader`, `setPath` and `setBody` return a new one.
 *
 * @typeParam Body what `body` holds: by default the body to be read; `Buffer` behind `readRequestBody`.
 */
export class Request<Body = RequestBody> {
  readonly #parts: RequestParts;
  /** @internal */
  readonly exchange: RequestExchange;
  /** The body; give the request to `readBody` or `stream` to read an incoming one. */
  readonly body: Body;

  /** @internal */
  constructor(parts: RequestParts, exchange: RequestExchange, body: Body) {
    this.#parts = parts;
    this.exchange = exchange;
    this.body = body;
  }

  /**
   * The method, as sent; methods are case-sensitive (RFC 9110 §9.1). `"GET"` for a WebSocket handshake over HTTP/2, which is
   * sent as an extended CONNECT (RFC 8441).
   */
  get method(): string {
    return this.#parts.method;
  }

  /** The request target as sent (RFC 9112 §3.2). */
  get target(): string {
    return this.#parts.target;
  }

  /** `"2"`, `"1.1"` or `"1.0"`. */
  get version(): "1.0" | "1.1" | "2" {
    return this.#parts.version;
  }

  /** `"https"` if the request came over TLS, else `"http"`; what a trusted proxy says with `forwarded`. */
  get scheme(): "http" | "https" {
    const { exchange } = this;
    return exchange.forwarded?.scheme ?? exchange.scheme;
  }

  /**
   * Host of the target URI (RFC 9110 §7.1), without the port; empty if an HTTP/1.0 client named none. What a trusted proxy
   * says with `forwarded`.
   */
  get host(): string {
    return (this.exchange.forwarded?.authority ?? this.#parts).host;
  }

  /** Port of the target URI if one was named; what a trusted proxy says with `forwarded`. */
  get port(): number | undefined {
    const { forwarded } = this.exchange;
    return forwarded?.port ?? (forwarded?.authority ?? this.#parts).port;
  }

  /**
   * The path as sent: percent-encoding kept, query left out. `"*"` for `OPTIONS *`. Every `%` has two hexadecimal digits
   * behind it, but what they encode need not be UTF-8: `decodeURIComponent` may throw.
   */
  get path(): string {
    return this.#parts.path;
  }

  /** What stands behind the first `?`, as sent; undefined without one. */
  get query(): string | undefined {
    return this.#parts.query;
  }

  /**
   * The segments of the path, without empty ones and with dot segments resolved (RFC 3986 §5.2.4): `/a//b/../c/` gives
   * `["a", "c"]`. A percent-encoded dot counts as a dot. Otherwise segments are as sent: a decoded one may contain
   * a slash, so never join decoded segments to a path of the file system; `sendFile` has `root` for that.
   */
  get pathSegments(): readonly string[] {
    const segments: string[] = [];
    for (const segment of this.path.split("/")) {
      if (segment === "" || isDots(segment, 1)) continue;
      if (isDots(segment, 2)) segments.pop();
      else segments.push(segment);
    }
    return segments;
  }

  /**
   * The absolute URL that was asked for (RFC 9110 §7.1): scheme, host and port, path and query. A new one at every access,
   * so keep it. A client that names no host (HTTP/1.0) has asked for the address it has connected to.
   *
   * @throws HttpError (400) for a host that HTTP allows and a URL does not, such as `1.2.3.999`.
   *
   * @example `const page = request.url.searchParams.get("page");`
   */
  get url(): URL {
    const origin = requestOrigin(this);
    if (origin === undefined) throw new HttpError(400, { message: "no URL can have this host" });
    return new URL(requestUrl(origin, this));
  }

  /**
   * The cookies by name (RFC 6265 §5.4), percent-decoded where that makes sense; of several with one name the first. The
   * record has no prototype. Parsed at every access, so keep it.
   */
  get cookies(): Readonly<Record<string, string | undefined>> {
    return parseCookie(getField(this.headers, "cookie") ?? "");
  }

  /** Fields in the order they came; names lower-cased, duplicates kept. */
  get headers(): Fields {
    return this.#parts.fields;
  }

  /**
   * What the application keeps about this request: one object that all copies of the request share (`setHeader` and the like
   * make them), fetch apps find as `context.props`, and events on `node:diagnostics_channel` carry with the request.
   */
  get context(): RequestContext {
    return this.exchange.context;
  }

  /**
   * A name for this request in logs: a random UUID, made when it is first asked for. With `withRequestId` the one that the
   * client or a proxy in front has sent, if it is well-formed.
   */
  get id(): string {
    return this.exchange.id;
  }

  /**
   * Aborted when the client goes away before the response is complete; never after a complete one. The reason is a
   * DOMException named `AbortError`, as in fetch; its `cause` is the TransportError that says what happened.
   */
  get signal(): AbortSignal {
    return this.exchange.signal;
  }

  /**
   * Aborted when the server begins to stop: for health checks, and for whatever has no end of its own. It is the signal
   * of `server.stopping`, one for all requests, so remove listeners that are no longer needed.
   */
  get stopping(): AbortSignal {
    return this.exchange.stopping;
  }

  /**
   * The value of the first field of that name, or undefined; {@link Request.getHeaders} gives all of them. The name's
   * case does not matter.
   */
  getHeader(name: string): string | undefined {
    return firstFieldLine(this.headers, name.toLowerCase());
  }

  /**
   * The values of all fields of that name, in order. Fields whose value is a list may come in several lines, which
   * mean the same as one joined with `", "` (RFC 9110 §5.3).
   */
  getHeaders(name: string): readonly string[] {
    return getFieldLines(this.headers, name.toLowerCase());
  }

  /**
   * A request with `name: value` in place of any fields of that name.
   *
   * @returns the new request; this one is unchanged.
   * @throws UsageError if the name or the value is malformed.
   */
  setHeader(name: string, value: string): Request<Body> {
    const added = field(name, value);
    return this.#withFields([...this.headers.filter((existing) => existing[0] !== added[0]), added]);
  }

  /**
   * A request with one more `name: value` in front.
   *
   * @returns the new request; this one is unchanged.
   * @throws UsageError if the name or the value is malformed.
   */
  prependHeader(name: string, value: string): Request<Body> {
    return this.#withFields([field(name, value), ...this.headers]);
  }

  /**
   * A request with another path and no query, for handlers mounted below a prefix.
   *
   * @returns the new request; this one is unchanged.
   * @throws UsageError unless the path starts with a slash.
   */
  setPath(path: string): Request<Body> {
    if (typeof path !== "string" || !path.startsWith("/")) {
      throw new UsageError(`a path must start with "/", got ${shown(path)}`);
    }
    return new Request({ ...copyParts(this.#parts), path, query: undefined }, this.exchange, this.body);
  }

  /** A request with another body. @returns the new request; this one is unchanged. */
  setBody<NewBody>(body: NewBody): Request<NewBody> {
    return new Request(this.#parts, this.exchange, body);
  }

  #withFields(fields: Fields): Request<Body> {
    return new Request({ ...copyParts(this.#parts), fields }, this.exchange, this.body);
  }
}

// The parser's head has its values behind getters, which a spread would not copy.
function copyParts(parts: RequestParts): RequestParts {
  const { method, target, version, host, port, path, query, fields } = parts;
  return { method, target, version, host, port, path, query, fields };
}

/** Is this segment made of `count` dots, percent-encoded or not? */
function isDots(segment: string, count: number): boolean {
  if (segment.length > 3 * count) return false;
  return segment === ".".repeat(count) || segment.replaceAll(/%2e/gi, ".") === ".".repeat(count);
}

/** Refuses what is not a request. @throws UsageError */
export function checkRequest(request: unknown): void {
  if (!(request instanceof Request)) {
    throw new UsageError(`request must be one that a handler was called with, got ${shown(request)}`);
  }
}
