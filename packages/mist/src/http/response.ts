// A response as a value: status, fields, body. Immutable; every setter gives a new response.
//
// Names and values are checked here, once, when they are set: a CR, LF or NUL never gets as far as
// the wire (RFC 9110 §5.5), and the serializer need not look a second time.

import { checkFunction, checkNames, shown } from "@x/glisten/kit";
import { UsageError } from "../errors.ts";
import {
  type Field,
  type Fields,
  type FieldsOption,
  field,
  fieldLines,
  fieldName,
  firstFieldLine,
  getFieldLines,
} from "./fields.ts";
import { type CookieOptions, serializeSetCookie } from "./set-cookie.ts";

/** A body of no bytes. */
export interface EmptyBody {
  readonly kind: "empty";
}

/** A body that is all there. */
export interface BytesBody {
  readonly kind: "bytes";
  /** Text leaves as UTF-8. */
  readonly data: string | Uint8Array;
}

/** Gives the fields of a trailer section, once the body is complete. */
export type Trailers = () => FieldsOption | Promise<FieldsOption>;

const emptyBody: EmptyBody = Object.freeze({ kind: "empty" });
const noFields: Fields = Object.freeze([]);

/** Options of {@link response}. */
export interface ResponseOptions<Body = undefined> {
  /** Header fields. Default: none. */
  readonly headers?: FieldsOption | undefined;
  /** The body: text, bytes, or what `chunked` and the like give. Default: empty. */
  readonly body?: Body | undefined;
}

/**
 * An immutable HTTP response (RFC 9110 §3.4). Made by {@link response}, `json`, `text`, `html`, `redirect`.
 *
 * Methods return a new response and leave this one unchanged: a call whose result is dropped does nothing.
 *
 * Framing belongs to the server: `content-length`, `transfer-encoding` and `date` need not be set, and a
 * `content-length` that is set must match the body.
 */
export class Response<Body = unknown> {
  /** Status code, 200 to 599. */
  readonly status: number;
  /** Fields in order; names lower-cased, duplicates kept. */
  readonly headers: Fields;
  /** What follows the head. */
  readonly body: Body;
  /** Gives the trailer section; see {@link Response.withTrailers}. */
  readonly trailers: Trailers | undefined;

  /** Use {@link response}: fields given here are taken as checked. @internal */
  constructor(status: number, headers: Fields, body: Body, trailers?: Trailers | undefined) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.trailers = trailers;
  }

  /**
   * A response with `name: value` in place of any fields of that name.
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError if the name is no token or the value has CR, LF, NUL or a character above U+00FF.
   */
  setHeader(name: string, value: string): Response<Body> {
    const added = field(name, value);
    const headers: Field[] = [];
    for (const existing of this.headers) if (existing[0] !== added[0]) headers.push(existing);
    headers.push(added);
    return new Response(this.status, headers, this.body, this.trailers);
  }

  /**
   * A response with one more `name: value` in front, beside any others of that name.
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError as {@link Response.setHeader} does.
   */
  prependHeader(name: string, value: string): Response<Body> {
    return new Response(this.status, [field(name, value), ...this.headers], this.body, this.trailers);
  }

  /**
   * A response with one more `name: value` at the end, beside any others of that name (as `set-cookie` needs).
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError as {@link Response.setHeader} does.
   */
  appendHeader(name: string, value: string): Response<Body> {
    return new Response(this.status, [...this.headers, field(name, value)], this.body, this.trailers);
  }

  /**
   * A response that sets one more cookie (RFC 6265 §4.1). The value is percent-encoded; `request.cookies` decodes it. To
   * delete a cookie, set it with `maxAge: 0` and the path and domain it has.
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError for an unknown option, for a name or attribute that cannot be sent, and for what browsers ignore:
   *   `sameSite: "none"`, `partitioned` and the prefixes `__Secure-` and `__Host-` without `secure`, more than 4096 bytes.
   *
   * @example `mist.text("Welcome.").setCookie("session", id, { path: "/", httpOnly: true, secure: true, sameSite: "lax" })`
   */
  setCookie(name: string, value: string, options: CookieOptions = {}): Response<Body> {
    return this.appendHeader("set-cookie", serializeSetCookie(name, value, options));
  }

  /** A response without any field of that name. @returns the new response; this one is unchanged. */
  removeHeader(name: string): Response<Body> {
    const lower = fieldName(name);
    const headers = this.headers.filter(([existing]) => existing !== lower);
    return new Response(this.status, headers, this.body, this.trailers);
  }

  /**
   * The value of the first field of that name, or undefined; {@link Response.getHeaders} gives all of them. The name's
   * case does not matter.
   */
  getHeader(name: string): string | undefined {
    return firstFieldLine(this.headers, name.toLowerCase());
  }

  /** The values of all fields of that name, in order. */
  getHeaders(name: string): readonly string[] {
    return getFieldLines(this.headers, name.toLowerCase());
  }

  /** A response with another body; text and bytes are sent as they are. @returns the new response; this one is unchanged. */
  setBody(body: string | Uint8Array): Response<BytesBody>;
  /** A response with another body. @returns the new response; this one is unchanged. */
  setBody<NewBody>(body: NewBody): Response<NewBody>;
  setBody(body: unknown): Response<unknown> {
    return new Response(this.status, this.headers, bodyOf(body), this.trailers);
  }

  /**
   * A response with another status.
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError unless the status is an integer from 200 to 599.
   */
  setStatus(status: number): Response<Body> {
    return new Response(checkedStatus(status), this.headers, this.body, this.trailers);
  }

  /**
   * A response with a trailer section (RFC 9110 §6.5), whatever its body is. `trailers` is called once, when the last
   * piece has been produced; if it fails, or gives a field that may not stand there (RFC 9110 §6.5.1), the failure is
   * reported and the response is broken off.
   *
   * In HTTP/1.1 the response is sent chunked, unless it sets a `content-length` of its own. Trailers are left out where
   * there is nowhere to put them: behind such a response, and in HTTP/1.0. Where no body is sent (HEAD, 204, 205, 304),
   * `trailers` is not called.
   *
   * @returns the new response; this one is unchanged.
   * @throws UsageError unless `trailers` is a function.
   *
   * @example `mist.response(200).setBody(mist.chunked(lines())).withTrailers(() => ({ "x-lines": "3" }))`
   */
  withTrailers(trailers: Trailers): Response<Body> {
    checkFunction("trailers", trailers);
    return new Response(this.status, this.headers, this.body, trailers);
  }
}

/**
 * A response with that status; without options it has no fields and no body.
 *
 * @param status integer from 200 to 599 (informational responses have `sendInformational`).
 * @throws UsageError for any other status, an unknown option, or a field that cannot be sent.
 *
 * @example `mist.response(201, { headers: { location: "/items/7" }, body: "created\n" })`
 */
export function response(status: number, options?: ResponseOptions): Response<EmptyBody>;
export function response(
  status: number,
  options: ResponseOptions<string | Uint8Array> & { readonly body: string | Uint8Array },
): Response<BytesBody>;
export function response<Body>(
  status: number,
  options: ResponseOptions<Body> & { readonly body: Body },
): Response<Body>;
export function response(status: number, options?: ResponseOptions<unknown>): Response<unknown> {
  const checked = checkedStatus(status);
  if (options === undefined) return new Response(checked, noFields, emptyBody);
  checkNames("response", options, ["headers", "body"]);
  const { headers, body } = options;
  const fields = headers === undefined ? noFields : fieldLines(headers);
  return new Response(checked, fields, body === undefined ? emptyBody : bodyOf(body));
}

function bodyOf(body: unknown): unknown {
  return typeof body === "string" || body instanceof Uint8Array ? { kind: "bytes", data: body } : body;
}

function checkedStatus(status: number): number {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status;
  throw new UsageError(`a response status must be an integer from 200 to 599, got ${shown(status)}`);
}
